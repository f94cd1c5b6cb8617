package bpf_test

import (
	"testing"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// ctrB and ctrC are one sandbox's, which is published on the second and answers
// by the first.
func TestAnswersByAnotherNetwork(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		one, two := h.sibling(h.ctrB.Index, addrB, 1, 7), h.sibling(h.ctrC.Index, addrC, 2, 7)
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrC, 80)
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrC, 80)
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		client, host := outside+":5000", hostIP+":8080"
		h.walk(
			step{"UDP asks", ext, h.ext, udpPacket(client, host), redirect, udpPacket(client, addrC+":80"), 0},
			step{"UDP, the other address", ctr, h.ctrB, udpPacket(addrB+":80", client), redirect, udpPacket(host, client), 0},
			step{"UDP, the address that was asked", ctr, h.ctrB, udpPacket(addrC+":80", client), redirect, udpPacket(host, client), 0},
			step{"TCP asks", ext, h.ext, tcpPacket(client, host, syn), redirect, tcpPacket(client, addrC+":80", syn), 0},
			step{"TCP, by the other network", ctr, h.ctrB, tcpPacket(addrC+":80", client, syn|ack), redirect, tcpPacket(host, client, syn|ack), 0},
			step{"TCP, the other address", ctr, h.ctrB, tcpPacket(addrB+":80", client, syn|ack), shot, packet{}, datapath.DropNoFlow},
			step{"a stranger, the address that was asked", ctr, h.ctrA, tcpPacket(addrC+":80", client, syn|ack), shot, packet{}, datapath.DropSource},
		)
		if seen := h.open(ctr, h.ctrB, tcpPacket(addrB+":6000", host, syn)).NATSrc; seen.Addr() != h.at("172.19.0.1") {
			t.Errorf("asked by itself, the sandbox sees %s, want the gateway of the network that it is asked on", seen)
		}
		h.check(h.dp.DeleteEndpoint(two.Ifindex))
		h.walk(step{"its network is gone", ctr, h.ctrB, tcpPacket(addrC+":80", client, syn|ack), shot, packet{}, datapath.DropSource})
		h.check(h.dp.DeleteEndpoint(one.Ifindex))
		if h.objs.Sandboxes.Iterate().Next(new(uint64), new(bpf.EbnetSandbox)) {
			t.Error("a sandbox is left")
		}
	})
}
