package bpf_test

import (
	"testing"

	"github.com/ebnet/ebnet/datapath"
)

// A container sends in the name of the peer of another container's flow.
func TestPeersName(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		server, client := outside+":443", outside+":40000"
		h.walk(
			step{"masqueraded", ctr, h.ctrA, udpPacket(addrA+":5000", server), redirect, udpPacket(hostIP+":5000", server), 0},
			step{"published", ext, h.ext, udpPacket(client, hostIP+":8080"), redirect, udpPacket(client, addrA+":80"), 0},
		)
		for name, p := range map[string]packet{
			"in the server's name": udpPacket(server, hostIP+":5000"),
			"in the client's name": udpPacket(client, hostIP+":8080"),
		} {
			if verdict, out := h.run(ctr, h.ctrC, p); verdict != shot {
				t.Errorf("%s: verdict %d, %x", name, verdict, out)
			}
		}
	})
}

// A container's error about another container's flow, across networks.
func TestOthersErrors(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ctr, server := h.objs.EbnetFromCtr, outside+":443"
		h.walk(
			step{"masqueraded", ctr, h.ctrA, udpPacket(addrA+":5000", server), redirect, udpPacket(hostIP+":5000", server), 0},
			step{"C tells A", ctr, h.ctrC, errorPacket(addrC, hostIP, h.errors()[0], udpPacket(hostIP+":5000", server), 8), pass, packet{}, 0},
		)
	})
}

// RST and then a SYN in A's name from anywhere end a connection that lives.
func TestReopenedByAnyone(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ext, ctr, server := h.objs.EbnetFromExt, h.objs.EbnetFromCtr, outside+":443"
		h.establish(addrA+":5000", hostIP+":5000", server)
		h.walk(
			step{"guessed RST", ext, h.ext, tcpPacket(server, hostIP+":5000", rst), redirect, tcpPacket(server, addrA+":5000", 0), 0},
			step{"B's SYN in A's name", ctr, h.ctrB, tcpPacket(addrA+":5000", server, syn), shot, packet{}, datapath.DropSource},
			step{"A's data", ctr, h.ctrA, tcpPacket(addrA+":5000", server, ack), redirect, tcpPacket(hostIP+":5000", server, 0), 0},
		)
	})
}

// A container's first fragment in the name of an outside client decides for its datagram.
func TestFragmentsInOthersName(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		h.publish(datapath.UDP, "0.0.0.0", 8081, addrB, 80)
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		client := outside + ":40000"
		real := h.pieces(big(udpPacket(client, hostIP+":8080")), 7, 48)
		forged := h.pieces(big(udpPacket(client, hostIP+":8081")), 7, 48)
		seen := h.pieces(big(udpPacket(client, addrA+":80")), 7, 48)
		h.walk(
			step{"first", ext, h.ext, real[0], redirect, seen[0], 0},
			step{"C's first in the client's name", ctr, h.ctrC, forged[0], shot, packet{}, datapath.DropSource},
			step{"second", ext, h.ext, real[1], redirect, seen[1], 0},
		)
	})
}

// A container's later fragment in an outside source's name takes one of its eight places.
func TestHeldInOthersName(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ctr := h.objs.EbnetFromCtr
		later := h.pieces(big(udpPacket(outside+":40000", hostIP+":8080")), 7, 48)[1]
		h.walk(step{"C's later fragment", ctr, h.ctrC, later, shot, packet{}, datapath.DropSource})
	})
}

// The host's own error about a flow that left by another port.
func TestHostsErrors(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ext, toExt, ctr, server := h.objs.EbnetFromExt, h.objs.EbnetToExt, h.objs.EbnetFromCtr, outside+":443"
		h.walk(step{"container", ctr, h.ctrA, udpPacket(addrA+":5000", server), redirect, udpPacket(hostIP+":5000", server), 0})
		if verdict, _ := h.run(toExt, h.ext, udpPacket(hostIP+":5000", server)); verdict != pass {
			t.Fatalf("host's packet: verdict %d, want pass", verdict)
		}
		var moved string
		for _, f := range h.flows() {
			if f.Kind == datapath.KindHost {
				moved = h.plain(f.NATSrc)
			}
		}
		own, sent := udpPacket(server, hostIP+":5000"), udpPacket(server, moved)
		kind := h.errors()[0]
		told := errorPacket(hostIP, outside, kind, sent, 8)
		told.ttl = 64
		h.walk(
			step{"answer", ext, h.ext, sent, pass, packet{src: server, dst: hostIP + ":5000", ttl: 64}, 0},
			step{"host refuses it", toExt, h.ext, errorPacket(hostIP, outside, kind, own, 8), pass, told, 0},
		)
	})
}

// A quoted UDP checksum that comes out as 0 has to be 0xffff.
func TestQuotedZero(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		server := outside + ":443"
		own, seen := udpPacket(addrA+":5000", server), udpPacket(hostIP+":5000", server)
		for i := range 0x10000 {
			own.payload = string([]byte{byte(i >> 8), byte(i)})
			w := h.wire(own)
			if l4 := w.l4(w.ends()); l4[6] == 0xff && l4[7] == 0xff {
				break
			}
		}
		seen.payload = own.payload
		h.walk(
			step{"sent", h.objs.EbnetFromCtr, h.ctrA, own, redirect, seen, 0},
			step{"error", h.objs.EbnetFromExt, h.ext, errorPacket(router, hostIP, h.errors()[0], seen, 10), redirect, errorPacket(router, addrA, h.errors()[0], own, 10), 0},
		)
	})
}

// The same from outside, by a packet in the container's private name.
func TestReopenedFromOutside(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ext, ctr, server := h.objs.EbnetFromExt, h.objs.EbnetFromCtr, outside+":443"
		h.establish(addrA+":5000", hostIP+":5000", server)
		h.walk(
			step{"guessed RST", ext, h.ext, tcpPacket(server, hostIP+":5000", rst), redirect, tcpPacket(server, addrA+":5000", 0), 0},
			step{"SYN in A's name", ext, h.ext, tcpPacket(addrA+":5000", server, syn), pass, packet{}, 0},
			step{"A's data", ctr, h.ctrA, tcpPacket(addrA+":5000", server, ack), redirect, tcpPacket(hostIP+":5000", server, 0), 0},
		)
	})
}

// The first packet of a flow is too big for the uplink.
func TestBigFirst(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		p := udpPacket(addrA+":5000", outside+":443")
		p.payload = string(make([]byte, 1600))
		verdict, _ := h.run(h.objs.EbnetFromCtr, h.ctrA, p)
		if verdict != redirect {
			t.Fatalf("verdict %d, drops %v, want it handed to the kernel", verdict, h.drops())
		}
	})
}

// An answer by hairpin counts for the container that sends it, twice, not for the client.
func TestHairpinCounts(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrB, 80)
		ctr := h.objs.EbnetFromCtr
		seen := h.plain(h.open(ctr, h.ctrA, udpPacket(addrA+":5000", hostIP+":8080")).NATSrc)
		h.walk(step{"answer", ctr, h.ctrB, udpPacket(addrB+":80", seen), redirect, udpPacket(hostIP+":8080", addrA+":5000"), 0})
		counters, err := h.dp.EndpointCounters()
		h.check(err)
		eps, err := h.dp.Endpoints()
		h.check(err)
		for _, ep := range eps {
			if c := counters[ep.Slot]; ep.Network == 1 && (c.Ingress.Packets != 1 || c.Egress.Packets != 1) {
				t.Errorf("device %d: %d packets in and %d out, want one each", ep.Ifindex, c.Ingress.Packets, c.Egress.Packets)
			}
		}
	})
}

// Nobody's address is a destination for the uplink.
func TestUnspecified(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		verdict, out := h.run(h.objs.EbnetFromCtr, h.ctrA, udpPacket(addrA+":5000", "0.0.0.0:443"))
		if verdict == redirect {
			t.Fatalf("sent out: %x", out)
		}
	})
}
