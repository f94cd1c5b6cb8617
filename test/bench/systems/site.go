package systems

import (
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/test/lab"
)

// Addresses of every world. The outside is a namespace behind a veth that stands for a
// network card: nothing may be redirected into it.
const (
	hostIP   = "198.51.100.1"
	hostIP2  = "198.51.100.3" // for more ports than one address has
	clientIP = "198.51.100.2"
	bridgeIP = "172.30.0.1"
	subnet   = "172.30.0.0/24"
)

// containerIP is the address of a container that the benchmark itself places.
func containerIP(i int) string { return fmt.Sprintf("172.30.0.%d", 10+i) }

// site is a host with an uplink to the outside, and containers.
type site struct {
	outside, host *lab.Machine
	containers    []*lab.Machine
}

// netfilter is a site whose host translates addresses by connection tracking.
type netfilter struct{ *site }

// Tracks leaves out what stays on a bridge: that passes netfilter only where br_netfilter
// is loaded.
func (netfilter) Tracks(d Direction) bool { return d != C2C }

func newSite(l *lab.Lab) *site {
	s := &site{outside: l.Machine("outside"), host: l.Machine("host")}
	l.Wire(
		lab.Port{On: s.outside, Dev: "eth0", Addr: clientIP + "/24"},
		lab.Port{On: s.host, Dev: "eth0", Addr: hostIP + "/24"},
	)
	s.host.IP("addr", "add", hostIP2+"/24", "dev", "eth0")
	return s
}

// bridged adds containers on a bridge, as engines do.
func (s *site) bridged(l *lab.Lab, names ...string) {
	s.host.IP("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
	s.host.IP("addr", "add", bridgeIP+"/24", "dev", "br0")
	s.host.IP("link", "set", "br0", "up")
	for i, name := range names {
		m := l.Machine(name)
		l.Wire(
			lab.Port{On: s.host, Dev: vethOf(i)},
			lab.Port{On: m, Dev: "eth0", Addr: containerIP(i) + "/24"},
		)
		s.host.IP("link", "set", vethOf(i), "master", "br0")
		m.Route("default", netip.MustParseAddr(bridgeIP))
		s.containers = append(s.containers, m)
	}
}

// vethOf is the host's side of a container's link.
func vethOf(i int) string { return fmt.Sprintf("veth%d", i) }

// published has containers[0] published on the host, and containers[1] and [2], if any,
// for each other.
func (s *site) published(d Direction, addrs []netip.Addr) (Route, bool) {
	r := Route{Host: s.host}
	switch d {
	case Published:
		r.Client, r.Addr, r.Server = s.outside, netip.MustParseAddr(hostIP), s.containers[0]
	case Masquerade:
		r.Client, r.Addr, r.Server = s.containers[0], netip.MustParseAddr(clientIP), s.outside
	case C2C:
		if len(s.containers) < 3 {
			return r, false
		}
		r.Client, r.Addr, r.Server = s.containers[1], addrs[2], s.containers[2]
	default:
		return r, false
	}
	return r, true
}

// local has containers[0] called by the host's own loopback address.
func (s *site) local() Route {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return Route{Client: s.host, Addr: local, Server: s.containers[0], Host: s.host}
}

// direct is published without translation: the outside calls the container's address.
func (s *site) direct(d Direction) (Route, bool) {
	r, ok := s.published(d, containerAddrs(len(s.containers)))
	if d == Published {
		r.Addr = netip.MustParseAddr(containerIP(0))
	}
	return r, ok
}

func containerAddrs(count int) []netip.Addr {
	var addrs []netip.Addr
	for i := range count {
		addrs = append(addrs, netip.MustParseAddr(containerIP(i)))
	}
	return addrs
}
