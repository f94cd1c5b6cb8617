package bpf_test

import (
	"net"
	"testing"

	"github.com/ebnet/ebnet/datapath"
)

const router = "192.0.2.33" // between us and the outside

// Errors about a container's packets reach it as errors about what it has sent, whoever
// makes them, and however little they quote.
func TestErrorsAboutMasqueraded(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		server := outside + ":443"
		ext := h.objs.EbnetFromExt
		for name, sent := range map[string][2]packet{
			"UDP":               {udpPacket(addrA+":5000", server), udpPacket(hostIP+":5000", server)},
			"TCP":               {tcpPacket(addrA+":5000", server, syn), tcpPacket(hostIP+":5000", server, syn)},
			"echo":              {echoPacket(addrA+":77", outside+":0"), echoPacket(hostIP+":77", outside+":0")},
			"UDP, another port": {udpPacket(addrB+":5000", server), udpPacket("", server)},
		} {
			own, seen := sent[0], sent[1]
			from := map[bool]string{true: addrB, false: addrA}[name == "UDP, another port"]
			seen.src = h.plain(h.open(h.objs.EbnetFromCtr, map[bool]*net.Interface{true: h.ctrB, false: h.ctrA}[from == addrB], own).NATSrc)
			for _, quote := range []int{8, len(own.payload) + 8} {
				for _, kind := range h.errors() {
					for _, source := range []string{router, outside} {
						h.walk(step{name, ext, h.ext, errorPacket(source, hostIP, kind, seen, quote), redirect, errorPacket(source, from, kind, own, quote), 0})
					}
				}
			}
		}
		unknown := errorPacket(router, hostIP, h.errors()[0], udpPacket(hostIP+":1", server), 8)
		h.walk(
			step{"about the host's own", ext, h.ext, unknown, pass, packet{}, 0},
			step{"cut short", ext, h.ext, errorPacket(router, hostIP, h.errors()[0], udpPacket(hostIP+":5000", server), 7), pass, packet{}, 0},
		)
		for _, f := range h.flows() {
			if f.Packets != 1 {
				t.Errorf("errors count as packets of the flow: %+v", f)
			}
		}
	})
}

// A published port's container is the host to who asks, in its errors too.
func TestErrorsAboutPublished(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		client, host, web := outside+":40000", hostIP+":8080", addrA+":80"
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		kind := h.errors()[0]
		h.walk(
			step{"asks", ext, h.ext, udpPacket(client, host), redirect, udpPacket(client, web), 0},
			step{"refused", ctr, h.ctrA, errorPacket(addrA, outside, kind, udpPacket(client, web), 8), redirect, errorPacket(hostIP, outside, kind, udpPacket(client, host), 8), 0},
			step{"answers", ctr, h.ctrA, udpPacket(web, client), redirect, udpPacket(host, client), 0},
			step{"client refuses", ext, h.ext, errorPacket(outside, hostIP, kind, udpPacket(host, client), 8), redirect, errorPacket(outside, addrA, kind, udpPacket(web, client), 8), 0},
			step{"not its own", ctr, h.ctrB, errorPacket(addrB, outside, kind, udpPacket(client, web), 8), shot, packet{}, datapath.DropNoFlow},
			step{"about nothing", ctr, h.ctrA, errorPacket(addrA, outside, kind, udpPacket(client, addrA+":81"), 8), shot, packet{}, datapath.DropNoFlow},
		)
	})
}

// Neighbours that speak by a published port have their errors translated, others directly.
func TestErrorsAboutHairpin(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrB, 80)
		ctr, kind := h.objs.EbnetFromCtr, h.errors()[0]
		own := udpPacket(addrA+":5000", hostIP+":8080")
		seen := udpPacket(h.plain(h.open(ctr, h.ctrA, own).NATSrc), addrB+":80")
		direct := errorPacket(addrB, addrA, kind, udpPacket(addrA+":5000", addrB+":81"), 8)
		h.walk(
			step{"refused", ctr, h.ctrB, errorPacket(addrB, addrA, kind, seen, 8), redirect, errorPacket(hostIP, addrA, kind, own, 8), 0},
			step{"direct", ctr, h.ctrB, direct, redirect, packet{}, 0},
		)
	})
}

// errors are types and codes that tell of a packet: unreachable, too big, exceeded, bad.
func (h *host) errors() [][2]uint8 {
	if h.six {
		return [][2]uint8{{1, 4}, {2, 0}, {3, 0}, {4, 1}}
	}
	return [][2]uint8{{3, 3}, {3, 4}, {11, 0}, {12, 0}}
}
