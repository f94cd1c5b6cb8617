package bpf_test

import (
	"net/netip"

	"github.com/ebnet/ebnet/datapath"
)

// quoted is the half that an error goes along: the way back of the packet that it quotes.
// None where too little of that is quoted to tell.
func (m *model) quoted(p modelPacket) *modelHalf {
	if p.about == nil || p.quote < 8 || p.about.fragment&0x1fff != 0 {
		return nil
	}
	in := see(*p.about, 0, 0)
	if !in.ported {
		return nil
	}
	return m.halves[in.tuple.reversed()]
}

// errorAlong translates an error about a flow, which ends none and refreshes none. Not ok: it
// is about no flow, or about the host's own, and goes on as any other packet.
func (m *model) errorAlong(from string, p *modelPacket) (o outcome, ok bool) {
	h := m.quoted(*p)
	if h == nil || h.from != from {
		return outcome{}, false
	}
	if h.flow.kind == datapath.KindHost {
		*p = p.tellsOf(h, 0)
		return outcome{}, false
	}
	if p.ttl <= 1 {
		return dropped(datapath.DropTTL), true
	}
	m.countHalf(h)
	return redirected(p.tellsOf(h, 1), h.to), true
}

// errorMade: the host tells an outside sender of a packet that was translated before.
func (m *model) errorMade(p modelPacket) outcome {
	h := m.quoted(p)
	if h == nil || h.to != outsideWorld {
		return passes(p)
	}
	return passes(p.tellsOf(h, 0))
}

// tellsOf is the error as its receiver has to see it: about the packet that it has sent, and
// from an address that it knows where the sender's is hidden.
func (p modelPacket) tellsOf(h *modelHalf, hops uint8) modelPacket {
	sent, about := h.nat.reversed(), *p.about
	about.src, about.dst = sent.src.String(), sent.dst.String()
	p.about = &about
	p.ttl -= hops
	p.dst = netip.AddrPortFrom(h.nat.dst.Addr(), 0).String()
	if h.key.src.Addr() != h.nat.src.Addr() {
		p.src = netip.AddrPortFrom(h.nat.src.Addr(), 0).String()
	}
	return p
}
