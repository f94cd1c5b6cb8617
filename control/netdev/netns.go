package netdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// threadNetns is the network namespace of the thread that opens it.
const threadNetns = "/proc/thread-self/ns/net"

// Do runs fn in the network namespace at path, on the calling goroutine, whose
// thread is locked meanwhile. Goroutines that fn starts are not in the namespace.
// It returns fn's error as it is, ErrNotFound if there is no such namespace, and
// ErrThreadLost if the thread cannot go back; the thread then stays locked.
func Do(path string, fn func() error) error {
	target, err := openNetns(path)
	if err != nil {
		return err
	}
	defer unix.Close(target)

	return visit(func() error {
		if err := unix.Setns(target, unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return nil
	}, fn)
}

// visit runs fn on this thread in the namespace that enter puts it into, and
// goes back. A thread is not thrown away for it: the process's first one cannot
// end, and would stay in the other namespace as what /proc/PID/ns/net shows.
func visit(enter, fn func() error) (err error) {
	runtime.LockOSThread()
	home, err := openNetns(threadNetns)
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer unix.Close(home)
	if err := enter(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	// Deferred, so that it also happens when fn panics or ends the goroutine.
	defer func() {
		if back := unix.Setns(home, unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("leave network namespace: %w: %w", ErrThreadLost, back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return fn()
}

// openNetns opens a namespace's file.
func openNetns(path string) (fd int, err error) {
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open network namespace %s: %w", path, sentinel(err))
	}
	return fd, nil
}

// Cookie is the kernel's number for the calling thread's network namespace, never
// used twice between two boots. BPF programs see the same number.
func Cookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("read network namespace cookie: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("read network namespace cookie: %w", err)
	}
	return cookie, nil
}

// NetnsID is the inode number of the network namespace at path, the one that
// `ls -i` and /proc/PID/ns/net show. ErrNotFound if there is no such file.
func NetnsID(path string) (inode uint64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("stat network namespace %s: %w", path, sentinel(err))
	}
	return st.Ino, nil
}

// Processes lists the processes whose network namespace is the one at path,
// lowest first. Threads that entered it by themselves do not count.
func Processes(path string) ([]int, error) {
	id, err := NetnsID(path)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		other, err := NetnsID("/proc/" + e.Name() + "/ns/net")
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
			continue // it ended while we were reading
		case errors.Is(err, fs.ErrPermission):
			continue // it has more rights than we: nothing that we started
		case err != nil:
			return nil, fmt.Errorf("read network namespace of process %d: %w", pid, err)
		case other == id:
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}
