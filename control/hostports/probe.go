package hostports

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Prober asks the kernel whether ports are free. Its zero value serves a host
// on which ebnet publishes nothing.
type Prober struct {
	// Published says whether ebnet publishes the port on another address that
	// overlaps host; (*Registry).Published does. ebnet's program then refuses to
	// bind it, to this probe too: a refusal that no socket explains means nothing.
	Published func(proto string, host netip.Addr, port uint16) bool
}

// Probe finds out whether a process of the host holds one of the ports
// from..to on an address that overlaps host. It is Prober{}.Probe.
func Probe(proto string, host netip.Addr, from, to uint16) error {
	return Prober{}.Probe(proto, host, from, to)
}

// Probe binds each port for a moment, in the network namespace of the calling
// thread. It returns an *InUseError (ErrInUse) naming the holder of the first
// port that is held, or wraps ErrNotLocal or ErrBadPort.
//
// In use is what a live process has: a listener, a socket that is bound only, a
// connection with this local port. What the kernel alone still remembers of
// closed connections (TIME_WAIT and the states before it) is not.
func (p Prober) Probe(proto string, host netip.Addr, from, to uint16) error {
	if err := check(proto, host, from, to); err != nil {
		return fmt.Errorf("probe port: %w", err)
	}
	host = host.Unmap()
	if proto == "sctp" && !kernelHasSCTP() {
		return nil
	}
	var t *table // read when first needed, for many ports once
	for port := int(from); port <= int(to); port++ {
		at := netip.AddrPortFrom(host, uint16(port))
		err := bindOnce(proto, at, false)
		if errors.Is(err, unix.EADDRINUSE) {
			t, err = p.explain(proto, at, t)
		}
		if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT) { // ipv6.disable=1
			err = fmt.Errorf("%w: %s", ErrNotLocal, host)
		}
		if err != nil {
			return fmt.Errorf("probe %s: %w", format(host, uint16(port), proto), err)
		}
	}
	return nil
}

// explain finds out why at could not be bound: an *InUseError, or nil if no
// process is the reason. It returns the table of sockets, the given one if that
// was new enough.
func (p Prober) explain(proto string, at netip.AddrPort, t *table) (*table, error) {
	for _, fresh := range []bool{t == nil, true} {
		if fresh {
			var err error
			if t, err = readTable(proto); err != nil {
				return nil, err
			}
		}
		found := t.holders(at)
		if held, ok := found.live(); ok {
			return t, t.inUse(proto, held)
		}
		if held, ok := found.maybe(); ok {
			// [::] may or may not hold the IPv4 port too. If only what is left of
			// connections stands in the way, SO_REUSEADDR gets past it, but not past
			// a listener.
			if !found.remains() || errors.Is(bindOnce(proto, at, true), unix.EADDRINUSE) {
				return t, t.inUse(proto, held)
			}
			return t, nil
		}
		if len(found) > 0 {
			return t, nil // the kernel's memory of closed connections
		}
		if fresh {
			break
		}
	}
	// No socket is to be seen. It has gone meanwhile, or is bound but does not
	// listen (those are in no list), or ebnet's own program refused.
	if p.Published != nil && p.Published(proto, at.Addr(), at.Port()) {
		return t, nil
	}
	err := bindOnce(proto, at, false)
	if errors.Is(err, unix.EADDRINUSE) {
		err = &InUseError{Proto: proto, Addr: at.Addr(), Port: at.Port()}
	}
	return t, err
}

// bindOnce binds a port and lets go of it at once. Without reuse it meets every
// socket of the port; with it, for TCP, those that listen and those that do not
// allow reuse themselves.
func bindOnce(proto string, at netip.AddrPort, reuse bool) error {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port()), Addr: v4(at.Addr())})
	if at.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	typ, num := unix.SOCK_STREAM, unix.IPPROTO_TCP
	switch proto {
	case "udp":
		typ, num = unix.SOCK_DGRAM, unix.IPPROTO_UDP
	case "sctp":
		num = unix.IPPROTO_SCTP
	}
	fd, err := unix.Socket(family, typ|unix.SOCK_CLOEXEC, num)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if family == unix.AF_INET6 {
		// Its own family only: an IPv4 socket on the port is no conflict.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	if reuse {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// kernelHasSCTP keeps the probe from loading the module: without it nobody can
// hold a port of it.
func kernelHasSCTP() bool {
	_, err := os.Stat(procNet + "sctp")
	return err == nil
}

func v4(addr netip.Addr) (b [4]byte) {
	if addr.Is4() {
		b = addr.As4()
	}
	return b
}
