package bpf_test

import (
	"net/netip"

	"github.com/ebnet/ebnet/datapath"
)

// modelPacket is a packet, or one fragment of it, and what can be seen of it.
type modelPacket struct {
	packet
	cut, nth int // the nth of its fragments of cut bytes; cut 0: it is whole

	tuple     fiveTuple
	flags     uint8 // TCP's
	ported    bool  // it has ports, or an echo's identifier, as far as is known
	portless  bool  // it is told apart by its addresses alone
	isError   bool
	malformed bool
	reopens   *modelFlow // the flow that has ended and whose tuple it wants
}

const gre = 47

// see fills what can be seen of a packet by itself. Fragments after the first have no ports.
func see(p packet, cut, nth int) modelPacket {
	src, dst := p.ends()
	s := modelPacket{packet: p, cut: cut, nth: nth, tuple: fiveTuple{src, dst, p.proto}}
	if nth > 0 {
		s.tuple.src = netip.AddrPortFrom(src.Addr(), 0)
		s.tuple.dst = netip.AddrPortFrom(dst.Addr(), 0)
		return s
	}
	if p.proto == tcp {
		s.flags = p.tcp
	}
	s.malformed = p.raw && p.proto == tcp
	s.isError = p.proto == icmp && p.kind != [2]uint8{}
	s.portless = p.proto == gre
	s.ported = s.portless || !p.raw && !s.isError && (p.proto == tcp || p.proto == udp || p.proto == icmp)
	return s
}

func (p modelPacket) isSYN() bool {
	return p.tuple.proto == tcp && p.flags&(syn|ack|rst|fin) == syn
}

// opens: it may begin a flow.
func (p modelPacket) opens() bool { return p.ported && (p.tuple.proto != tcp || p.isSYN()) }

func (p modelPacket) isRequest() bool { return p.tuple.src.Port() != 0 }

// becomes is the packet with another tuple and that many hops less.
func (p modelPacket) becomes(t fiveTuple, hops uint8) modelPacket {
	p.src, p.dst = t.src.String(), t.dst.String()
	p.ttl -= hops
	return p
}

// outcome is what should happen to a packet.
type outcome struct {
	verdict int
	out     modelPacket   // what goes on
	to      string        // where it is redirected to: a place, or the kernel
	again   []modelPacket // what is handed in again
	reason  datapath.DropReason
	counts  bool // the reason is counted
}

// modelDrop is a counter of drops.
type modelDrop struct {
	reason datapath.DropReason
	dir    datapath.Direction
}

// cross is a packet's way through the program at a place.
func (m *model) cross(from string, p modelPacket) outcome {
	dir := datapath.Egress
	var o outcome
	switch from {
	case outsideWorld:
		dir = datapath.Ingress
		o = m.fromOutside(p)
	case hostItself:
		o = m.fromHost(p)
	case kernelItself:
		o = m.fromKernel(p)
	default:
		o = m.fromContainer(m.named(from), p)
	}
	if o.counts {
		m.drops[modelDrop{o.reason, dir}]++
	}
	return o
}

func (m *model) named(name string) *modelContainer {
	for _, c := range m.containers {
		if c.name == name {
			return c
		}
	}
	return nil
}

func passes(p modelPacket) outcome { return outcome{verdict: pass, out: p} }

func dropped(reason datapath.DropReason) outcome {
	return outcome{verdict: shot, reason: reason, counts: true}
}

func redirected(p modelPacket, to string) outcome {
	return outcome{verdict: redirect, out: p, to: to}
}

// handed is a packet that the kernel is to answer, which counts as a drop.
func handed(p modelPacket, reason datapath.DropReason) outcome {
	return outcome{verdict: redirect, out: p, to: kernelItself, reason: reason, counts: true}
}

// modelCount is a counter of packets that went on, as a container sees them.
type modelCount struct {
	name string
	dir  datapath.Direction
}

// count notes who has sent a packet and who gets it, where that is a container.
func (m *model) count(from, to string) {
	m.counts[modelCount{from, datapath.Egress}]++
	m.counts[modelCount{to, datapath.Ingress}]++
}

// countHalf counts a packet of a flow.
func (m *model) countHalf(h *modelHalf) {
	m.count(h.from, h.to)
}

// along sends a packet the way of its flow.
func (m *model) along(h *modelHalf, p modelPacket) outcome {
	if h.flow.kind == datapath.KindHost {
		m.touch(h, p)
		return passes(p.becomes(h.nat, 0))
	}
	if p.ttl <= 1 || m.isTooBig(p) {
		return m.byKernel(h, p)
	}
	m.touch(h, p)
	m.countHalf(h)
	return redirected(p.becomes(h.nat, 1), h.to)
}

// byKernel has the kernel forward a packet, or say why not. Outwards it is translated later.
func (m *model) byKernel(h *modelHalf, p modelPacket) outcome {
	out := p
	if h.to != outsideWorld {
		out = p.becomes(h.nat, 0)
	}
	o := handed(out, datapath.DropMTU)
	if p.ttl <= 1 {
		o.reason = datapath.DropTTL
	} else if !m.six && p.fragment&0x4000 == 0 {
		o.counts = false // it can be fragmented
		m.countHalf(h)
	}
	return o
}

// isTooBig: every device carries 1500 bytes.
func (m *model) isTooBig(p modelPacket) bool {
	return len(p.payload) > 1000 && len(m.frame(p))-14 > 1500
}
