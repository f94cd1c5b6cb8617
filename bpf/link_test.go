package bpf_test

import (
	"testing"

	"github.com/ebnet/ebnet/datapath"
)

// linkPacket is one of ICMPv6 that is neither echo nor an error.
func linkPacket(src, dst string, kind uint8) packet {
	return packet{src: "[" + src + "]:0", dst: "[" + dst + "]:0", proto: icmp6, raw: true, payload: string([]byte{kind, 0, 0, 0, 0, 0, 0, 0})}
}

// What IPv6 needs of a link passes, and no more where neighbours are apart.
func TestLink(t *testing.T) {
	h := newHost(t)
	h.six = true
	h.seed()
	own := h.at(addrA).String()
	ctr := h.objs.EbnetFromCtr
	direct := udpPacket("[fe80::2]:5353", "[fe80::3]:5353")
	group := udpPacket("["+own+"]:5353", "[ff02::fb]:5353")
	stranger := udpPacket("[2001:db8::bad]:5353", "[ff02::fb]:5353")
	for _, apart := range []bool{false, true} {
		h.network(datapath.Network{Index: 1, Bridge: 100, Masquerade: true, ICC: !apart}, gateway)
		talk := pass
		if apart {
			talk = shot
		}
		h.walk(
			step{"solicitation", ctr, h.ctrA, linkPacket(own, "ff02::1:ff00:1", 135), pass, packet{}, 0},
			step{"detection", ctr, h.ctrA, linkPacket("::", "ff02::1:ff00:2", 135), pass, packet{}, 0},
			step{"advertisement", ctr, h.ctrA, linkPacket("fe80::2", "fe80::1", 136), pass, packet{}, 0},
			step{"listener report", ctr, h.ctrA, linkPacket("fe80::2", "ff02::16", 143), pass, packet{}, 0},
			step{"router advertisement", ctr, h.ctrA, linkPacket("fe80::2", "ff02::1", 134), shot, packet{}, datapath.DropSource},
			step{"redirect", ctr, h.ctrA, linkPacket("fe80::2", "fe80::3", 137), shot, packet{}, datapath.DropSource},
			step{"neighbour", ctr, h.ctrA, direct, talk, packet{}, datapath.DropIsolated},
			step{"group", ctr, h.ctrA, group, talk, packet{}, datapath.DropIsolated},
			step{"stranger", ctr, h.ctrA, stranger, shot, packet{}, datapath.DropSource},
		)
	}
}
