package loader

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A killed agent may still be on its way out when the next one starts.
const lockPatience = time.Second

// dirLock keeps a second agent out of a folder. It ends with the process.
type dirLock struct{ file *os.File }

// lock takes the folder for this process. If another one has it, it gets some time
// to let go. It wraps ErrInUse.
func (f folder) lock(patience time.Duration) (*dirLock, error) {
	file, err := os.Open(string(f))
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	deadline := time.Now().Add(patience)
	for {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer file.Close()
		return nil, fmt.Errorf("%w%s", ErrInUse, holder(file))
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return &dirLock{file}, nil
}

// holds tells whether it is this very folder that is locked, and not one that was
// there before.
func (l *dirLock) holds(f folder) bool {
	if l == nil || l.file == nil {
		return false
	}
	locked, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(string(f))
	return err == nil && os.SameFile(locked, there)
}

func (l *dirLock) release() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// holder names the process that has the file locked: " (process 12)", or
// nothing where the kernel does not tell.
func holder(file *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return ""
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return ""
	}
	defer locks.Close()
	// 1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)), st.Ino)
	for s := bufio.NewScanner(locks); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == id {
			return " (process " + f[4] + ")"
		}
	}
	return ""
}
