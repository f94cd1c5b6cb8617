package tool

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// requests asks for one byte at a time on one connection. A timeout on the socket would cost
// a timer with every read: who started the process ends it when no answer comes.
func requests(a Args) (Result, error) {
	to := newDestination(a.Addr)
	fd, err := to.connect(unix.SOCK_STREAM)
	if err != nil {
		return Result{}, err
	}
	defer rawClose(fd)
	if errno := rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); errno != 0 {
		return Result{}, errno
	}
	b := []byte{'x'}
	return repeat(a.Time, func() error { return exchange(fd, b) })
}

// connections makes a connection for every byte. They end with a reset: the ports are
// free again at once, at both ends.
func connections(a Args) (Result, error) {
	to := newDestination(a.Addr)
	b := []byte{'x'}
	linger := unix.Linger{Onoff: 1}
	return repeat(a.Time, func() error {
		fd, err := to.connect(unix.SOCK_STREAM)
		if err != nil {
			return err
		}
		if err := exchange(fd, b); err != nil {
			return err
		}
		syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
			uintptr(unsafe.Pointer(&linger)), unsafe.Sizeof(linger), 0)
		rawClose(fd)
		return nil
	})
}

// repeat does one transaction after the other and notes how long each takes.
func repeat(length time.Duration, transaction func() error) (Result, error) {
	var h histogram
	start := time.Now()
	var last time.Duration
	for last < length {
		if err := transaction(); err != nil {
			return Result{}, err
		}
		now := time.Since(start)
		h.add(now - last)
		last = now
	}
	return Result{
		Transactions: h.count,
		Sent:         h.count,
		Received:     h.count,
		Time:         last,
		P50:          h.quantile(0.5),
		P99:          h.quantile(0.99),
		P999:         h.quantile(0.999),
	}, nil
}

// batch is how many datagrams one system call sends or takes.
const batch = 32

// messages are room for a batch.
type messages struct {
	payload [batch][UDPPayload + 1]byte // one more, to see that none is longer
	iovecs  [batch]unix.Iovec
	headers [batch]struct {
		unix.Msghdr
		length uint32
	}
}

func newMessages(length int) *messages {
	m := &messages{}
	for i := range batch {
		m.iovecs[i].Base = &m.payload[i][0]
		m.iovecs[i].SetLen(length)
		m.headers[i].Iov = &m.iovecs[i]
		m.headers[i].SetIovlen(1)
	}
	return m
}

// all does sendmmsg or recvmmsg, and returns how many datagrams went.
func (m *messages) all(call uintptr, fd int) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&m.headers)), batch, 0, 0, 0)
	return int(n), errno
}

// datagrams sends what goes; the server counts what comes.
func datagrams(a Args) (Result, error) {
	to := newDestination(a.Addr)
	fd, err := to.connect(unix.SOCK_DGRAM)
	if err != nil {
		return Result{}, err
	}
	defer rawClose(fd)
	m := newMessages(UDPPayload)
	var res Result
	start := time.Now()
	for res.Time < a.Time {
		n, errno := m.all(unix.SYS_SENDMMSG, fd)
		if errno != 0 && errno != unix.ENOBUFS {
			return Result{}, errno
		}
		if errno == 0 {
			res.Transactions += uint64(n)
		}
		res.Time = time.Since(start)
	}
	res.Sent = res.Transactions * UDPPayload
	return res, nil
}
