package bpf_test

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/datapath"
)

// handedOver gives a packet to a program that hands it to the kernel, as want and with the
// link address of ebnet's own device, and returns what was dropped by that.
func (h *host) handedOver(prog *ebpf.Program, dev *net.Interface, in, want packet) map[datapath.DropReason]uint64 {
	h.t.Helper()
	before := h.drops()
	verdict, out := h.run(prog, dev, in)
	expect := h.wire(want).bytes()
	copy(expect, fibMAC[:])
	if verdict != redirect || !bytes.Equal(out, expect) {
		h.t.Errorf("%s to %s: verdict %d, packet\n%x\nwant\n%x", in.src, in.dst, verdict, out, expect)
	}
	return h.newDrops(before)
}

// The kernel answers what has no hop left: towards the outside it sees the packet as it
// was, towards a container as it would be.
func TestTimeExceeded(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		ctr, ext, client := h.objs.EbnetFromCtr, h.objs.EbnetFromExt, outside+":40000"
		ttl1 := func(p packet) packet { p.ttl = 1; return p }
		out := udpPacket(addrA+":5000", outside+":443")
		for what, established := range []bool{false, true} {
			if established {
				h.walk(step{"out", ctr, h.ctrA, out, redirect, udpPacket(hostIP+":5000", outside+":443"), 0})
			}
			for _, drops := range []map[datapath.DropReason]uint64{
				h.handedOver(ctr, h.ctrA, ttl1(out), ttl1(out)),
				h.handedOver(ext, h.ext, ttl1(udpPacket(client, hostIP+":8080")), ttl1(udpPacket(client, addrA+":80"))),
			} {
				if len(drops) != 1 || drops[datapath.DropTTL] != 1 {
					t.Errorf("%d: drops %v, want one of TTL", what, drops)
				}
			}
		}
	})
}

// What does not fit the next device is the kernel's to fragment, or to complain of.
func TestTooBig(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		h.ip("link set ctra mtu 1280")
		h.ip("link set ext mtu 1280")
		ctr, ext, client := h.objs.EbnetFromCtr, h.objs.EbnetFromExt, outside+":40000"
		for _, size := range []int{1200, 1400} {
			for _, df := range []uint16{0, dontFragment} {
				sized := func(p packet) packet {
					p.payload, p.fragment = strings.Repeat("x", size), df
					return p
				}
				out, in := sized(udpPacket(addrA+":5000", outside+":443")), sized(udpPacket(client, hostIP+":8080"))
				if size < 1280 {
					h.walk(
						step{"out", ctr, h.ctrA, out, redirect, udpPacket(hostIP+":5000", outside+":443"), 0},
						step{"in", ext, h.ext, in, redirect, udpPacket(client, addrA+":80"), 0},
					)
					continue
				}
				want := 0
				if df != 0 || h.six {
					want = 1
				}
				seen := sized(udpPacket(client, addrA+":80"))
				for _, drops := range []map[datapath.DropReason]uint64{h.handedOver(ctr, h.ctrA, out, out), h.handedOver(ext, h.ext, in, seen)} {
					if len(drops) != want || drops[datapath.DropMTU] != uint64(want) {
						t.Errorf("drops %v, want %d of the MTU", drops, want)
					}
				}
			}
		}
	})
}
