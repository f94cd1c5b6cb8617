package tool

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// congestion is the same for all: the machine's own may pace itself.
const congestion = "cubic"

// rawRead and rawWrite do not tell the scheduler that they may block. Nothing else
// wants to run.
func rawRead(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

func rawWrite(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

func rawSetInt(fd, level, name, value int) syscall.Errno {
	v := int32(value)
	_, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(name),
		uintptr(unsafe.Pointer(&v)), unsafe.Sizeof(v), 0)
	return errno
}

// destination is a peer as connect(2) wants it.
type destination struct {
	addr       unix.RawSockaddrInet4
	congestion []byte // to ask for on each socket; nil where it is the namespace's own
}

func newDestination(to netip.AddrPort) destination {
	d := destination{addr: unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&d.addr.Port))[:], to.Port())
	own, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil || strings.TrimSpace(string(own)) != congestion {
		d.congestion = []byte(congestion)
	}
	return d
}

// connect makes a connected socket of the kind, of blocking calls.
func (d *destination) connect(kind int) (int, error) {
	r, _, errno := syscall.RawSyscall(syscall.SYS_SOCKET, unix.AF_INET, uintptr(kind), 0)
	if errno != 0 {
		return -1, errno
	}
	fd := int(r)
	if d.congestion != nil && kind == unix.SOCK_STREAM {
		if _, _, errno := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, r, unix.IPPROTO_TCP, unix.TCP_CONGESTION,
			uintptr(unsafe.Pointer(&d.congestion[0])), uintptr(len(d.congestion)), 0); errno != 0 {
			rawClose(fd)
			return -1, errno
		}
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, r, uintptr(unsafe.Pointer(&d.addr)), unsafe.Sizeof(d.addr)); errno != 0 {
		rawClose(fd)
		return -1, errno
	}
	return fd, nil
}

func rawClose(fd int) { syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0) }

// exchange sends the byte in b and waits for one.
func exchange(fd int, b []byte) error {
	if _, errno := rawWrite(fd, b); errno != 0 {
		return errno
	}
	n, errno := rawRead(fd, b)
	switch {
	case errno != 0:
		return errno
	case n == 0:
		return errors.New("the peer has closed the connection")
	}
	return nil
}
