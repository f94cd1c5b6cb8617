package bpf_test

import (
	"bytes"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

func TestSourceLists(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		p := h.publish(datapath.TCP, "0.0.0.0", 8080, addrA, 80)
		ext := h.objs.EbnetFromExt
		from := func(client string, verdict int) step {
			s := step{client, ext, h.ext, tcpPacket(client, hostIP+":8080", syn), verdict, packet{}, datapath.DropNotAllowed}
			if verdict == redirect {
				s.out = tcpPacket(client, addrA+":80", 0)
			}
			return s
		}
		allow := func(prefixes ...string) {
			t.Helper()
			var list []netip.Prefix
			for _, p := range prefixes {
				list = append(list, h.prefix(p))
			}
			h.check(h.dp.SetAllowed(p.Slot, list))
		}
		h.walk(from(outside+":1", redirect))
		allow("198.51.100.0/24", "192.0.2.1/32")
		h.walk(from(outside+":2", redirect), from("192.0.2.1:2", redirect), from("192.0.2.2:2", shot), from("198.51.101.7:2", shot))
		allow("192.0.2.2/32")
		h.walk(from(outside+":3", shot), from("192.0.2.2:3", redirect))
		// a connection that was let in goes on
		h.walk(step{"old", h.objs.EbnetFromCtr, h.ctrA, tcpPacket(addrA+":80", outside+":2", syn|ack), redirect, tcpPacket(hostIP+":8080", outside+":2", 0), 0})
		// a container is judged by its own address
		hairpin := step{"container", h.objs.EbnetFromCtr, h.ctrB, tcpPacket(addrB+":1", hostIP+":8080", syn), shot, packet{}, datapath.DropNotAllowed}
		h.walk(hairpin)
		allow("172.16.0.0/12")
		h.open(h.objs.EbnetFromCtr, h.ctrB, hairpin.in)
		allow(map[bool]string{false: "0.0.0.0/0", true: "::/0"}[h.six])
		h.walk(from("192.0.2.9:4", redirect))
		allow(map[bool]string{false: "::/0", true: "0.0.0.0/0"}[h.six]) // the other family alone
		h.walk(from("192.0.2.9:5", shot))
		allow()
		h.walk(from("192.0.2.9:6", redirect))
	})
}

func TestInternalNetwork(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrB, 80)
		h.network(datapath.Network{Index: 1, Bridge: 100, Internal: true, Masquerade: true, ICC: true}, gateway)
		ctr := h.objs.EbnetFromCtr
		h.walk(
			step{"out", ctr, h.ctrA, tcpPacket(addrA+":5000", outside+":443", syn), shot, packet{}, datapath.DropIsolated},
			step{"the host's address", ctr, h.ctrA, tcpPacket(addrA+":5000", hostIP+":22", syn), shot, packet{}, datapath.DropIsolated},
			step{"a published port", ctr, h.ctrA, tcpPacket(addrA+":5000", hostIP+":8080", syn), shot, packet{}, datapath.DropIsolated},
			step{"neighbour", ctr, h.ctrA, tcpPacket(addrA+":5000", addrB+":80", syn), redirect, packet{}, 0},
			step{"gateway", ctr, h.ctrA, tcpPacket(addrA+":5000", gateway+":22", syn), pass, packet{}, 0},
			step{"multicast", ctr, h.ctrA, udpPacket(addrA+":5000", "224.0.0.251:5353"), pass, packet{}, 0},
		)
	})
}

func TestNetworkWithoutMasquerade(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.network(datapath.Network{Index: 1, Bridge: 100, ICC: true}, gateway)
		server := outside + ":443"
		hop := packet{src: addrA + ":5000", dst: server}
		h.walk(
			step{"out", h.objs.EbnetFromCtr, h.ctrA, tcpPacket(addrA+":5000", server, syn), redirect, hop, 0},
			step{"answer", h.objs.EbnetFromExt, h.ext, tcpPacket(server, addrA+":5000", syn|ack), redirect, packet{src: server, dst: addrA + ":5000"}, 0},
			step{"unasked", h.objs.EbnetFromExt, h.ext, tcpPacket(server, addrA+":5001", syn), shot, packet{}, datapath.DropDirect},
		)
		counters, err := h.dp.PathCounters([]uint16{1})
		h.check(err)
		for _, c := range counters {
			if c.Path == datapath.PathForward && c.Packets != 1 {
				t.Fatalf("%v %v: %d packets, want 1", c.Direction, c.Path, c.Packets)
			}
			if c.Path == datapath.PathMasquerade && c.Packets != 0 {
				t.Fatalf("%v %v: %d packets, want none", c.Direction, c.Path, c.Packets)
			}
		}
	})
}

// The second packet to a neighbour has its link header, and goes on with it until
// the kernel has to be asked again.
func TestNextHop(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		server := outside + ":443"
		known := func() bool {
			t.Helper()
			verdict, got := h.run(h.objs.EbnetFromCtr, h.ctrA, udpPacket(addrA+":5000", server))
			if verdict != redirect {
				t.Fatalf("verdict %d, want redirect", verdict)
			}
			return bytes.HasPrefix(got, h.nextHop())
		}
		if known() {
			t.Fatal("the first packet's link header is known")
		}
		if !known() {
			t.Fatal("the second packet's link header is not known")
		}
		h.expireNextHops()
		if known() || !known() {
			t.Fatal("after its time the kernel is not asked again, once")
		}
		// the neighbour's address moves to another device
		h.ip("neigh replace " + h.at(neighbor).String() + " lladdr 02:00:00:00:00:08 dev ext")
		h.expireNextHops()
		for range 2 {
			if known() {
				t.Fatal("an old link header is used")
			}
		}
		h.ip("neigh del " + h.at(neighbor).String() + " dev ext")
		h.expireNextHops()
		for range 3 {
			if known() {
				t.Fatal("a link header is known of a neighbour that is not")
			}
		}
		// another neighbour has taken the place: ours waits until it has expired
		h.ip("neigh replace " + h.at(neighbor).String() + " lladdr 02:00:00:00:00:09 dev ext")
		h.changeNextHop(func(hop *bpf.EbnetNextHop) {
			hop.Gateway.W[3]++
			hop.Gen++
			hop.Deadline += 1 << 20
		})
		for range 3 {
			if known() {
				t.Fatal("another neighbour's place is taken")
			}
		}
		h.changeNextHop(func(hop *bpf.EbnetNextHop) { hop.Deadline -= 1<<20 + 45 })
		gen := h.changeNextHop(func(*bpf.EbnetNextHop) {})
		if known() || !known() {
			t.Fatal("a place whose neighbour has expired is not taken")
		}
		if now := h.changeNextHop(func(*bpf.EbnetNextHop) {}); now != gen+1 {
			t.Fatalf("the place's generation went from %d to %d: flows of the other neighbour would take it for theirs", gen, now)
		}
	})
}

func (h *host) expireNextHops() {
	h.t.Helper()
	h.changeNextHop(func(hop *bpf.EbnetNextHop) { hop.Deadline -= 45 })
}

// changeNextHop changes the only next hop there is and returns its generation.
func (h *host) changeNextHop(change func(*bpf.EbnetNextHop)) uint32 {
	h.t.Helper()
	var hop bpf.EbnetNextHop
	for place := range h.objs.NextHops.MaxEntries() {
		h.check(h.objs.NextHops.Lookup(place, &hop))
		if hop.Oif == 0 {
			continue
		}
		change(&hop)
		h.check(h.objs.NextHops.Put(place, hop))
		return hop.Gen
	}
	h.t.Fatal("there is no next hop")
	return 0
}

func (h *host) ip(args string) {
	h.t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		h.t.Fatalf("ip %s: %v: %s", args, err, out)
	}
}
