package loader

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// watch tells of what vanishes from the folder, whoever removes it.
type watch struct {
	file *os.File
	hint chan struct{}
}

// newWatch makes a watch that looks at nothing yet. Its user may have as many as it
// is allowed to already: then there are no hints, and Lost is all there is.
func newWatch() *watch {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	w := &watch{os.NewFile(uintptr(fd), "inotify"), make(chan struct{}, 1)}
	go w.read()
	return w
}

// add looks at the folder from now on. To look at what is looked at already
// changes nothing.
func (w *watch) add(f folder) {
	if w == nil {
		return
	}
	const removal = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	raw, err := w.file.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) {
		for _, path := range []string{f.version(), f.maps(), f.links(), f.qdiscs()} {
			_, _ = unix.InotifyAddWatch(int(fd), path, removal)
		}
	})
}

// read turns events into hints until the watch is closed. Which ones they are is for
// Lost to find out.
func (w *watch) read() {
	buf := make([]byte, 4096)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return
		}
		select {
		case w.hint <- struct{}{}:
		default:
		}
	}
}

func (w *watch) hints() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.hint
}

func (w *watch) close() error {
	if w == nil {
		return nil
	}
	if err := w.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
