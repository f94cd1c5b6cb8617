package systems

import (
	"net/netip"

	"github.com/ebnet/ebnet/test/lab"
)

// Loopback is a client and a server on one host: what host networking gives.
type Loopback struct{ host *lab.Machine }

func (*Loopback) Name() string { return LoopbackName }
func (*Loopback) About() string {
	return "client and server on one host, by 127.0.0.1 (host networking)"
}
func (*Loopback) Available() error { return nil }

func (s *Loopback) SetUp(l *lab.Lab, _ Cleaner) { s.host = l.Machine("host") }

func (s *Loopback) Route(d Direction) (Route, bool) {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return Route{Client: s.host, Addr: local, Server: s.host, Host: s.host}, d == Localhost
}

// RawVeth is a veth pair with an end on each side and nothing between: the limit of all
// that connects namespaces. Every direction is the same to it.
type RawVeth struct{ client, server *lab.Machine }

func (*RawVeth) Name() string     { return RawVethName }
func (*RawVeth) About() string    { return "one veth pair, nothing between" }
func (*RawVeth) Available() error { return nil }

func (s *RawVeth) SetUp(l *lab.Lab, _ Cleaner) {
	s.client, s.server = l.Machine("client"), l.Machine("server")
	l.Wire(
		lab.Port{On: s.client, Dev: "eth0", Addr: clientIP + "/24"},
		lab.Port{On: s.server, Dev: "eth0", Addr: hostIP + "/24"},
	)
}

func (s *RawVeth) Route(d Direction) (Route, bool) {
	return Route{Client: s.client, Addr: netip.MustParseAddr(hostIP), Server: s.server}, d != Localhost
}

// Routed is a host that routes between two veth pairs and has no rule: the limit of all
// that goes through the kernel's own forwarding.
type Routed struct{ *site }

func (*Routed) Name() string { return RoutedName }
func (*Routed) About() string {
	return "two veth pairs and the kernel's routing between, no rules, no bridge"
}
func (*Routed) Available() error { return nil }

func (s *Routed) SetUp(l *lab.Lab, _ Cleaner) {
	s.site = newSite(l)
	web := l.Machine("web")
	l.Wire(
		lab.Port{On: s.host, Dev: "veth0", Addr: bridgeIP + "/24"},
		lab.Port{On: web, Dev: "eth0", Addr: containerIP(0) + "/24"},
	)
	web.Route("default", netip.MustParseAddr(bridgeIP))
	s.containers = []*lab.Machine{web}
	s.outside.Route(subnet, netip.MustParseAddr(hostIP))
	s.host.Sysctl("net.ipv4.ip_forward", "1")
}

// Route has the container's own address where others have a published port.
func (s *Routed) Route(d Direction) (Route, bool) { return s.direct(d) }
