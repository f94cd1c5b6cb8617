package control

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/ebnet/ebnet/control/netdev"
)

// place is where the other end of a link is.
type place struct{ netns, peer string }

// fakeNetns is what a sandbox's namespace has: devices by name, and rules, which
// stay when their device goes.
type fakeNetns map[string]*fakeDevice

type fakeDevice struct {
	up    bool
	addrs []netip.Prefix
	gates []netip.Addr // where what comes from addrs leaves
	table int          // in which that is said
	way6  bool         // IPv6's default route leads there
	way   bool         // everything else leaves there, too
	mac   net.HardwareAddr
	mtu   int
}

func (d *fakeDevice) String() string {
	return fmt.Sprint(d.up, d.addrs, d.gates, d.table, d.way, d.way6, d.mac, d.mtu)
}

// configure does what netdev.Veth.Up does inside.
func (ns fakeNetns) configure(v netdev.Veth) {
	ns["lo"] = &fakeDevice{up: true}
	dev := ns[v.Peer]
	if dev.table != v.Table {
		delete(ns, fmt.Sprint("rule ", dev.table))
	}
	*dev = fakeDevice{up: true, addrs: v.Addrs, gates: v.Gateways, table: v.Table, mac: v.PeerMAC, mtu: v.MTU}
	if v.Table != 0 {
		ns[fmt.Sprint("rule ", v.Table)] = &fakeDevice{up: true, addrs: v.Addrs}
	}
	for name, other := range ns {
		if v.Default4 {
			other.way = name == v.Peer
		}
		if v.Default6 {
			other.way6 = name == v.Peer
		}
	}
}
