package hostports

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("EBNET_PRIVILEGED") == "1" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// inNetns runs fn on a thread in a network namespace of its own, whose lo is up
// and has 10.0.0.1 and fd00::1 too. The namespace goes with the thread.
func inNetns(t testing.TB, fn func() error) {
	t.Helper()
	needRoot(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			if err := setUpLo(); err != nil {
				return fmt.Errorf("set up lo: %w", err)
			}
			return fn()
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func setUpLo() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, s := range []string{"10.0.0.1/32", "fd00::1/128"} {
		addr, err := netlink.ParseAddr(s)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, addr); err != nil {
			return err
		}
	}
	return nil
}

// spec is a socket that a test's host process has.
type spec struct {
	proto     string
	at        string
	v6only    bool
	reuse     bool // SO_REUSEADDR
	reusePort bool
	listen    bool
}

func (s spec) open() (fd int, err error) {
	ap := netip.MustParseAddrPort(s.at)
	family, typ := unix.AF_INET, unix.SOCK_STREAM
	if ap.Addr().Is6() {
		family = unix.AF_INET6
	}
	if s.proto == "udp" {
		typ = unix.SOCK_DGRAM
	}
	if fd, err = unix.Socket(family, typ|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	for _, o := range []struct {
		on          bool
		level, name int
	}{
		{s.v6only, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY},
		{s.reuse, unix.SOL_SOCKET, unix.SO_REUSEADDR},
		{s.reusePort, unix.SOL_SOCKET, unix.SO_REUSEPORT},
	} {
		if !o.on {
			continue
		}
		if err := unix.SetsockoptInt(fd, o.level, o.name, 1); err != nil {
			return -1, err
		}
	}
	if err := unix.Bind(fd, sockaddr(ap)); err != nil {
		return -1, err
	}
	if s.listen {
		err = unix.Listen(fd, 16)
	}
	return fd, err
}

func sockaddr(ap netip.AddrPort) unix.Sockaddr {
	if ap.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
}

// connect makes a connection to a listener and returns both of its ends.
func connect(listener int, to string) (server, client int, err error) {
	ap := netip.MustParseAddrPort(to)
	if client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, -1, err
	}
	if err = unix.Connect(client, sockaddr(ap)); err != nil {
		return -1, -1, errors.Join(err, unix.Close(client))
	}
	if server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); err != nil {
		return -1, -1, errors.Join(err, unix.Close(client))
	}
	return server, client, nil
}
