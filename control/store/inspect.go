package store

import (
	"fmt"
	"os"
	"strconv"

	"go.etcd.io/bbolt"
)

// inspect reads the whole file once, so that damage is found at the start and
// not in the middle of a change, and returns the instance ID.
func inspect(db *bbolt.DB) (id string, err error) {
	path := db.Path()
	defer catch(func(why string) { id, err = "", corrupt(path, why) })()
	err = db.View(func(tx *bbolt.Tx) error {
		if info, err := os.Stat(path); err != nil {
			return err
		} else if info.Size() < tx.Size() {
			return corrupt(path, fmt.Sprintf("the file has %d bytes, should have %d", info.Size(), tx.Size()))
		}
		if err := walk(tx); err != nil {
			return corrupt(path, err.Error())
		}
		if err := check(tx); err != nil {
			return corrupt(path, err.Error())
		}
		if id, err = readMeta(path, tx); err != nil {
			return err
		}
		if _, err := (&Tx{tx: tx}).State(); err != nil {
			return fmt.Errorf("open %s: %w", path, err)
		}
		return nil
	})
	return id, err
}

// walk touches every page of the tree in this goroutine, where a fault can be
// caught; the library's own check runs in one where it cannot.
func walk(tx *bbolt.Tx) error {
	return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		return b.ForEach(func(_, value []byte) error {
			if value == nil {
				return fmt.Errorf("bucket %q holds another bucket", name)
			}
			return nil
		})
	})
}

// check returns the first inconsistency, having drained the rest so that the
// library's goroutine ends before the transaction does.
func check(tx *bbolt.Tx) (first error) {
	for err := range tx.Check() {
		if first == nil {
			first = err
		}
	}
	return first
}

func readMeta(path string, tx *bbolt.Tx) (id string, err error) {
	meta := tx.Bucket([]byte(bucketMeta))
	if meta == nil {
		return "", corrupt(path, "not a store of ebnet's")
	}
	version, err := strconv.Atoi(string(meta.Get(keySchema)))
	if err != nil || version < 1 {
		return "", corrupt(path, fmt.Sprintf("schema version %q", meta.Get(keySchema)))
	}
	if version > schema {
		return "", fmt.Errorf("open %s: %w: schema version %d, this one knows up to %d", path, ErrNewer, version, schema)
	}
	for _, name := range []string{bucketNetworks, bucketSandboxes, bucketPublishes, bucketValues} {
		if tx.Bucket([]byte(name)) == nil {
			return "", corrupt(path, "bucket "+name+" is missing")
		}
	}
	id = string(meta.Get(keyID))
	if id == "" {
		return "", corrupt(path, "no instance ID")
	}
	return id, nil
}
