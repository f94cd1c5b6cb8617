package e2e

import (
	"net/netip"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// routed is a host whose outside lies behind a router, or a second one.
type routed struct {
	host, router, other, far *lab.Machine
	agent                    *lab.Agent
	s                        *lab.Sandbox
}

func newRouted(t *testing.T) *routed {
	l := lab.New(t)
	r := &routed{host: l.Machine("host"), router: l.Machine("router"), other: l.Machine("other"), far: l.Machine("far")}
	l.Wire(lab.Port{On: r.router, Dev: "in", Addr: "198.51.100.254/24"}, lab.Port{On: r.host, Dev: "eth0", Addr: hostIP + "/24"})
	l.Wire(lab.Port{On: r.other, Dev: "in", Addr: "192.0.2.254/24"}, lab.Port{On: r.host, Dev: "eth1", Addr: "192.0.2.1/24"})
	l.LAN("lan",
		lab.Port{On: r.far, Dev: "eth0", Addr: "203.0.113.2/24"},
		lab.Port{On: r.router, Dev: "out", Addr: "203.0.113.254/24"},
		lab.Port{On: r.other, Dev: "out", Addr: "203.0.113.253/24"},
	)
	for _, m := range []*lab.Machine{r.router, r.other} {
		m.Sysctl("net.ipv4.ip_forward", "1")
		m.Sysctl("net.ipv4.conf.in.arp_notify", "1") // tells neighbours of a new MAC address, as routers do
	}
	r.far.Route("198.51.100.0/24", netip.MustParseAddr("203.0.113.254"))
	r.far.Route("192.0.2.0/24", netip.MustParseAddr("203.0.113.253"))
	r.host.Route("default", netip.MustParseAddr("198.51.100.254"))
	r.agent = r.host.Agent("--uplink", "eth0", "--uplink", "eth1")
	r.s = r.agent.Create("a", "-p", "8080:7000")
	r.s.AnswerTCP("a", ":7000")
	r.far.AnswerTCP("far", ":7000")
	return r
}

// The router gets another MAC address under connections that go on, both ways, whether
// there is an agent or not.
func TestRouterMACChanges(t *testing.T) {
	r := newRouted(t)
	out := r.s.Talk("tcp", "", "203.0.113.2:7000")
	in := r.far.Talk("tcp", "", hostIP+":8080")
	for i, mac := range []string{"02:00:00:00:aa:01", "02:00:00:00:aa:02"} {
		if i > 0 {
			r.agent.Kill()
		}
		for range 3 {
			r.s.MustAsk(out)
			r.far.MustAsk(in)
		}
		r.router.IP("link", "set", "in", "address", mac)
		for range 3 {
			r.s.MustAsk(out)
			r.far.MustAsk(in)
		}
	}
}

// The default route moves to another router on another uplink: new connections take it, with
// an agent or without one.
func TestDefaultRouteMoves(t *testing.T) {
	r := newRouted(t)
	for i, way := range []struct{ via, seen string }{
		{"198.51.100.254", hostIP}, {"192.0.2.254", "192.0.2.1"}, {"198.51.100.254", hostIP}, {"192.0.2.254", "192.0.2.1"},
	} {
		if i == 2 {
			r.agent.Kill()
		}
		r.host.Route("default", netip.MustParseAddr(way.via))
		if seen := r.s.MustAsk(r.s.Talk("tcp", "", "203.0.113.2:7000")).Client.Addr().String(); seen != way.seen {
			t.Errorf("by %s: seen as %s, want %s", way.via, seen, way.seen)
		}
	}
}
