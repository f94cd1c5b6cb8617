package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// schema is the version of the layout that this code reads and writes.
const schema = 1

// lockWait is how long Open waits for another agent to let go of the file: long
// enough for one that has just been killed to be gone.
const lockWait = time.Second

var (
	keySchema = []byte("schema")
	keyID     = []byte("id")
)

// Open opens the store, creating it and its folder if there is none.
// It returns ErrInUse (as *InUseError) if another agent has it open, ErrCorrupt
// if the file is damaged and ErrNewer if a later version of ebnet wrote it.
func Open(path string) (*Store, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = create(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	id, err := inspect(db)
	if err != nil {
		db.Close()
		return nil, err
	}
	return &Store{db: db, id: id}, nil
}

// create makes the file whole before it gets its name, so that a crash half way
// leaves no torn store behind. The lock on the folder keeps two agents that
// start for the first time from replacing each other's.
func create(path string) (err error) {
	dir, err := lockDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err // another agent was faster, or the folder cannot be read
	}
	tmp := path + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	db, err := bbolt.Open(tmp, 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	err = errors.Join(db.Update(initialise), db.Close())
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return dir.Sync()
}

func lockDir(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return dir, nil
}

func initialise(tx *bbolt.Tx) error {
	for _, name := range []string{bucketMeta, bucketNetworks, bucketSandboxes, bucketPublishes, bucketValues} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	meta := tx.Bucket([]byte(bucketMeta))
	if err := meta.Put(keySchema, []byte(strconv.Itoa(schema))); err != nil {
		return err
	}
	return meta.Put(keyID, []byte(NewID()))
}

// openFile opens and locks an existing file. The library panics on some damaged
// files and faults on truncated ones, which it maps beyond their end.
func openFile(path string) (db *bbolt.DB, err error) {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		return nil, corrupt(path, "the file is empty") // the library would make a new store of it
	}
	var file *os.File
	defer catch(func(why string) {
		letGo(file)
		db, err = nil, corrupt(path, why)
	})()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: lockWait,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			// Without O_CREATE: a store that vanished meanwhile is not replaced by a blank one.
			file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
			return file, err
		},
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, &InUseError{Path: path, PID: lockHolder(path)}
	case errors.As(err, new(unix.Errno)):
		return nil, fmt.Errorf("open store: %w", err)
	default: // not the system's, so it is about the content
		return nil, corrupt(path, err.Error())
	}
}

// letGo closes the file of a database that could not be opened. The library
// has left it mapped, and the mapping would keep the lock.
func letGo(file *os.File) {
	if file != nil {
		_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
		file.Close()
	}
}

// catch returns a function to defer that turns a panic or a memory fault of
// this goroutine into a call of damaged.
func catch(damaged func(why string)) func() {
	old := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			damaged(fmt.Sprint(r))
		}
	}
}
