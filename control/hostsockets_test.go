package control

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/datapath"
)

// The host's own connections go with the publish that led them, and no others.
func TestHostSocketsEnd(t *testing.T) {
	target, elsewhere := netip.MustParseAddr("10.7.0.2"), netip.MustParseAddr("10.7.0.3")
	origin := func(cookie uint64, asked string, target netip.Addr) datapath.Origin {
		return datapath.Origin{Cookie: cookie, Asked: netip.MustParseAddrPort(asked), Target: netip.AddrPortFrom(target, 80)}
	}
	w := newWorld(t)
	a := w.agent()
	w.origins = []datapath.Origin{
		origin(1, "127.0.0.1:8080", target), origin(2, "192.0.2.1:8081", target),
		origin(3, "127.0.0.1:8082", target), origin(4, "127.0.0.1:8080", elsewhere),
	}
	p := datapath.Publish{
		Proto: datapath.TCP, Host: netip.IPv4Unspecified(), HostPort: 8080, HostPortEnd: 8081, Target: target, Port: 80,
	}
	if err := a.endHostSockets(p); err != nil {
		t.Fatal(err)
	}
	slices.Sort(w.destroyed)
	if !slices.Equal(w.destroyed, []uint64{1, 2}) {
		t.Errorf("on all addresses: sockets %v ended, want 1 and 2", w.destroyed)
	}
	w.destroyed = nil
	p.Host = netip.MustParseAddr("192.0.2.1")
	if err := a.endHostSockets(p); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.destroyed, []uint64{2}) {
		t.Errorf("on 192.0.2.1: sockets %v ended, want 2", w.destroyed)
	}
}

// Who came before a port was published is told to try again; others are left alone.
func TestUnansweredConnectionsEnd(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	w.sockets = []netdev.Socket{
		{Cookie: 1, Port: 8080, Waiting: true},
		{Cookie: 2, Port: 8080},
		{Cookie: 3, Port: 8082, Waiting: true},
		{Cookie: 4, Port: 8081, Waiting: true},
	}
	p := datapath.Publish{Proto: datapath.TCP, HostPort: 8080, HostPortEnd: 8081}
	a.endUnanswered(p)
	if len(w.destroyed) > 0 {
		t.Errorf("sockets %v ended for a port that no engine holds", w.destroyed)
	}
	p.Held = true
	a.endUnanswered(p)
	if !slices.Equal(w.destroyed, []uint64{1, 4}) {
		t.Errorf("sockets %v ended, want 1 and 4", w.destroyed)
	}
}

// An engine's ports end such connections as they are adopted, and when a reconcile
// brings them back.
func TestAdoptionEndsUnanswered(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld()
	a := w.agent()
	w.sockets = []netdev.Socket{{Cookie: 1, Port: 8080, Waiting: true}}
	a.Adopt(w.webWorld())
	if !slices.Equal(w.destroyed, []uint64{1}) {
		t.Errorf("adopted: sockets %v ended, want 1", w.destroyed)
	}
	w.destroyed = nil
	clear(w.publishes)
	a.reconcile()
	if !slices.Equal(w.destroyed, []uint64{1}) {
		t.Errorf("brought back: sockets %v ended, want 1", w.destroyed)
	}
}
