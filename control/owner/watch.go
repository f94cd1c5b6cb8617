package owner

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrClosed says that the Watcher has been closed.
var ErrClosed = errors.New("watcher closed")

// Watcher tells when processes end: any number of them with one descriptor
// each and one goroutine for all.
type Watcher struct {
	epoll  int
	wake   int // eventfd that ends the goroutine
	done   chan struct{}
	mu     sync.Mutex
	closed bool
	ended  map[int32]chan struct{} // by pidfd
}

// NewWatcher returns a Watcher that needs Close.
func NewWatcher() (_ *Watcher, err error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch processes: %w", os.NewSyscallError("epoll_create1", err))
	}
	defer func() {
		if err != nil {
			unix.Close(epoll)
		}
	}()
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch processes: %w", os.NewSyscallError("eventfd", err))
	}
	w := &Watcher{epoll: epoll, wake: wake, done: make(chan struct{}), ended: map[int32]chan struct{}{}}
	if err := w.add(wake); err != nil {
		unix.Close(wake)
		return nil, err
	}
	go w.run()
	return w, nil
}

// Watch returns a channel that is closed when the process that began at start
// has ended: at once, if it has already or its pid belongs to another one. stop
// ends the watch without closing the channel; it may be called any number of
// times, and need not be called once the channel is closed.
func (w *Watcher) Watch(pid int, start uint64) (<-chan struct{}, func(), error) {
	ended := make(chan struct{})
	fd, err := open(pid, start)
	if errors.Is(err, ErrGone) {
		close(ended)
		return ended, func() {}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("watch pid %d: %w", pid, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("watch pid %d: %w", pid, ErrClosed)
	}
	if err := w.add(fd); err != nil {
		unix.Close(fd)
		return nil, nil, fmt.Errorf("watch pid %d: %w", pid, err)
	}
	w.ended[int32(fd)] = ended
	return ended, func() { w.forget(int32(fd), ended) }, nil
}

// Close ends all watches without closing their channels.
func (w *Watcher) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	if _, err := unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		return fmt.Errorf("close watcher: %w", os.NewSyscallError("write", err))
	}
	<-w.done
	return nil
}

func (w *Watcher) add(fd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &event))
}

// forget drops one watch. The channel tells whether the number of the
// descriptor still stands for it, and not for a later watch.
func (w *Watcher) forget(fd int32, ended chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended[fd] == ended {
		w.drop(fd)
	}
}

// drop lets go of a descriptor. Closing it is not enough to end its events: a
// child that is being started holds a copy until it executes its program.
func (w *Watcher) drop(fd int32) {
	delete(w.ended, fd)
	_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, int(fd), nil)
	unix.Close(int(fd))
}

func (w *Watcher) run() {
	defer close(w.done)
	events := make([]unix.EpollEvent, 64)
	for {
		n, err := unix.EpollWait(w.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("owner: epoll_wait: %v", err)) // bad arguments, so a bug
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == w.wake {
				w.release()
				return
			}
			w.report(e.Fd)
		}
	}
}

// report closes the channel of a process that has ended. An event may be older
// than the watch that its descriptor's number now stands for, so ask again.
func (w *Watcher) report(fd int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ended, watched := w.ended[fd]
	if !watched {
		return
	}
	if gone, err := wait([]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}, 0); err != nil || !gone {
		return // it is reported again when it is so
	}
	w.drop(fd)
	close(ended)
}

func (w *Watcher) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for fd := range w.ended {
		unix.Close(int(fd))
	}
	clear(w.ended)
	unix.Close(w.wake)
	unix.Close(w.epoll)
}
