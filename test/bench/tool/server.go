package tool

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Served is what a server has counted. It lies in a file that the server maps, so that
// counting costs nothing and whoever reads it needs not ask.
type Served struct {
	Ready       uint64 // 1 once it listens
	Connections uint64
	Received    uint64 // bytes, TCP
	Sent        uint64
	Datagrams   uint64
	Datagram    uint64 // bytes of datagrams
}

// ReadServed reads a server's counters.
func ReadServed(path string) (Served, error) {
	file, err := os.Open(path)
	if err != nil {
		return Served{}, err
	}
	defer file.Close()
	var s Served
	if err := binary.Read(file, binary.NativeEndian, &s); err != nil {
		return Served{}, fmt.Errorf("read counters: %w", err)
	}
	return s, nil
}

// server answers one byte for one byte, on TCP, and counts datagrams.
type server struct {
	*Served
	epoll, listener, datagrams int
	messages                   *messages
}

func serve(a Args) error {
	served, err := mapServed(a.Counters)
	if err != nil {
		return err
	}
	s := &server{Served: served, messages: newMessages(UDPPayload + 1)}
	if err := s.listen(int(a.Addr.Port())); err != nil {
		return fmt.Errorf("listen on port %d: %w", a.Addr.Port(), err)
	}
	s.Ready = 1
	return s.loop()
}

func mapServed(path string) (*Served, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size := int(unsafe.Sizeof(Served{}))
	if err := file.Truncate(int64(size)); err != nil {
		return nil, err
	}
	memory, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map counters: %w", err)
	}
	return (*Served)(unsafe.Pointer(&memory[0])), nil
}

func (s *server) listen(port int) (err error) {
	if s.epoll, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	any := &unix.SockaddrInet4{Port: port}
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	if s.datagrams, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0); err != nil {
		return err
	}
	for _, fd := range []int{s.listener, s.datagrams} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		if err := unix.Bind(fd, any); err != nil {
			return err
		}
	}
	// what it accepts inherits both
	if err := unix.SetsockoptString(s.listener, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.listener, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	if err := unix.Listen(s.listener, 4096); err != nil {
		return err
	}
	for _, fd := range []int{s.listener, s.datagrams} {
		if errno := s.watch(fd); errno != 0 {
			return errno
		}
	}
	return nil
}

func (s *server) watch(fd int) syscall.Errno {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	_, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_CTL, uintptr(s.epoll), unix.EPOLL_CTL_ADD, uintptr(fd),
		uintptr(unsafe.Pointer(&event)), 0, 0)
	return errno
}

// loop serves until the process is killed.
func (s *server) loop() error {
	var events [64]unix.EpollEvent
	b := make([]byte, 64)
	forever := -1
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(s.epoll), uintptr(unsafe.Pointer(&events)),
			uintptr(len(events)), uintptr(forever), 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("wait: %w", errno)
		}
		for _, event := range events[:n] {
			switch fd := int(event.Fd); fd {
			case s.listener:
				s.accept()
			case s.datagrams:
				s.take()
			default:
				s.answer(fd, b)
			}
		}
	}
}

func (s *server) accept() {
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(s.listener), 0, 0, unix.SOCK_NONBLOCK, 0, 0)
	if errno != 0 {
		return
	}
	s.Connections++
	if s.watch(int(fd)) != 0 {
		rawClose(int(fd))
	}
}

func (s *server) answer(fd int, b []byte) {
	n, errno := rawRead(fd, b)
	if errno == unix.EAGAIN {
		return
	}
	if errno != 0 || n == 0 {
		rawClose(fd)
		return
	}
	s.Received += uint64(n)
	if n, errno = rawWrite(fd, b[:1]); errno != 0 {
		rawClose(fd)
		return
	}
	s.Sent += uint64(n)
}

// take counts a batch of datagrams.
func (s *server) take() {
	n, errno := s.messages.all(unix.SYS_RECVMMSG, s.datagrams)
	if errno != 0 {
		return
	}
	s.Datagrams += uint64(n)
	for i := range n {
		s.Datagram += uint64(s.messages.headers[i].length)
	}
}
