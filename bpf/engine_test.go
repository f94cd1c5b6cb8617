package bpf_test

import (
	"testing"

	"github.com/ebnet/ebnet/datapath"
)

// What a container without a program sends reaches the host, and nobody else.
func TestBridgeGuard(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		guard := h.objs.EbnetFromBr
		h.walk(
			step{"to the host", guard, h.ctrA, tcpPacket(addrA+":5000", hostIP+":22", syn), pass, packet{}, 0},
			step{"to the gateway", guard, h.ctrA, udpPacket(addrA+":5000", gateway+":53"), pass, packet{}, 0},
			step{"to a group", guard, h.ctrA, udpPacket(addrA+":68", "255.255.255.255:67"), pass, packet{}, 0},
			step{"to the outside", guard, h.ctrA, tcpPacket(addrA+":5000", outside+":443", syn), shot, packet{}, datapath.DropLeak},
			step{"to another network", guard, h.ctrA, tcpPacket(addrA+":5000", addrC+":80", syn), shot, packet{}, datapath.DropLeak},
			step{"a fragment", guard, h.ctrA, packet{src: addrA + ":5000", dst: outside + ":53", proto: udp, fragment: 0x2001}, shot, packet{}, datapath.DropLeak},
			step{"other protocol", guard, h.ctrA, packet{src: addrA + ":0", dst: outside + ":0", proto: 47, payload: "gre"}, shot, packet{}, datapath.DropLeak},
		)
	})
}

// As long as the host's own firewall translates for a network, too, what it has
// begun is its own, and new connections are ours.
func TestKernelNAT(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrB, 80)
		h.network(datapath.Network{Index: 1, Bridge: 100, Masquerade: true, ICC: true, KernelNAT: true}, gateway)
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		server := outside + ":443"
		h.walk(
			step{"in the middle, out", ctr, h.ctrA, tcpPacket(addrA+":5000", server, ack), pass, packet{}, 0},
			step{"in the middle, in", ext, h.ext, tcpPacket(outside+":5000", hostIP+":8080", ack), pass, packet{}, 0},
			step{"new, out", ctr, h.ctrA, tcpPacket(addrA+":5001", server, syn), redirect, tcpPacket(hostIP+":5001", server, syn), 0},
			step{"new, in", ext, h.ext, tcpPacket(outside+":5001", hostIP+":8080", syn), redirect, tcpPacket(outside+":5001", addrB+":80", syn), 0},
			step{"neighbours", ctr, h.ctrA, tcpPacket(addrA+":5000", addrB+":80", ack), pass, packet{}, 0},
			step{"forged", ctr, h.ctrA, tcpPacket(addrC+":5000", server, ack), shot, packet{}, datapath.DropSource},
			step{"other network", ctr, h.ctrA, tcpPacket(addrA+":5000", addrC+":80", ack), shot, packet{}, datapath.DropIsolated},
		)
	})
}
