package netdev

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a socket and its peer on the loopback address.
type pair struct {
	name     string
	protocol uint8
	fd, peer int
	cookie   uint64
}

func TestDestroySockets(t *testing.T) {
	newHost(t)
	runIP(t, threadNetns, "link set lo up")
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		for _, p := range []*pair{
			connect(t, "TCP", family, unix.SOCK_STREAM, unix.IPPROTO_TCP),
			connect(t, "UDP", family, unix.SOCK_DGRAM, unix.IPPROTO_UDP),
		} {
			spared := connect(t, p.name, family, map[string]int{"TCP": unix.SOCK_STREAM, "UDP": unix.SOCK_DGRAM}[p.name], int(p.protocol))
			n, err := DestroySockets(p.protocol, func(s Socket) bool { return s.Cookie == p.cookie })
			if err != nil || n != 1 {
				t.Fatalf("%s: %d sockets ended, %v; want one", p.name, n, err)
			}
			if _, err := unix.Write(p.fd, []byte("x")); !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, syscall.EPIPE) &&
				!errors.Is(err, syscall.EDESTADDRREQ) {
				t.Errorf("%s: a write to it: %v, want that it has ended", p.name, err)
			}
			if _, err := unix.Write(spared.fd, []byte("x")); err != nil {
				t.Errorf("%s: a write to another: %v", p.name, err)
			}
			if n, err := DestroySockets(p.protocol, func(s Socket) bool { return s.Cookie == 0 }); err != nil || n != 0 {
				t.Errorf("%s: %d sockets ended, %v; want none", p.name, n, err)
			}
		}
	}
}

// A connection that its listener has not accepted is told from one that it has.
func TestDestroyWaitingSockets(t *testing.T) {
	newHost(t)
	runIP(t, threadNetns, "link set lo up")
	accepted := connect(t, "TCP", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	conn, _, err := unix.Accept(accepted.peer)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(conn)
	waiting := connect(t, "TCP", unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	bound, err := unix.Getsockname(waiting.peer)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(bound.(*unix.SockaddrInet4).Port)
	n, err := DestroySockets(unix.IPPROTO_TCP, func(s Socket) bool { return s.Waiting })
	if err != nil || n != 1 {
		t.Errorf("%d sockets ended, %v; want one", n, err)
	}
	if _, err := unix.Read(waiting.fd, make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the waiting one's client: %v, want a reset", err)
	}
	if _, err := unix.Write(conn, []byte("x")); err != nil {
		t.Errorf("the accepted one: %v", err)
	}
	listeners := 0
	if _, err := DestroySockets(unix.IPPROTO_TCP, func(s Socket) bool {
		if s.Port == port {
			listeners++
		}
		return false
	}); err != nil || listeners != 1 {
		t.Errorf("%d sockets on port %d, %v; want the listener", listeners, port, err)
	}
}

// connect makes a connected socket, IPv6 ones by a v4-mapped address.
func connect(t *testing.T, name string, family, kind, protocol int) *pair {
	t.Helper()
	peer := socket(t, unix.AF_INET, kind)
	if err := unix.Bind(peer, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(peer, 1); err != nil {
			t.Fatal(err)
		}
	}
	bound, err := unix.Getsockname(peer)
	if err != nil {
		t.Fatal(err)
	}
	port := bound.(*unix.SockaddrInet4).Port
	p := &pair{name: name, protocol: uint8(protocol), fd: socket(t, family, kind), peer: peer}
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if family == unix.AF_INET6 {
		to = &unix.SockaddrInet6{Port: port, Addr: [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}}
	}
	if err := unix.Connect(p.fd, to); err != nil {
		t.Fatal(err)
	}
	if p.cookie, err = unix.GetsockoptUint64(p.fd, unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
		t.Fatal(err)
	}
	return p
}

func socket(t *testing.T, family, kind int) int {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}
