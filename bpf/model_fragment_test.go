package bpf_test

import (
	"net/netip"
	"slices"
)

// modelDatagram tells fragments of one datagram from those of others.
type modelDatagram struct {
	src, dst netip.Addr
	proto    uint8
	id       uint16
}

func (p modelPacket) datagram() modelDatagram {
	return modelDatagram{p.tuple.src.Addr(), p.tuple.dst.Addr(), p.tuple.proto, p.id}
}

// tellOf gives a fragment what its datagram's first has said.
func (p *modelPacket) tellOf(first modelPacket) {
	p.tuple, p.flags, p.ported = first.tuple, first.flags, first.ported
}

// gather puts fragments in order: those before the first wait for it, and come again with
// it. It waits, then, and is not to be seen for now.
func (m *model) gather(p *modelPacket) (o outcome, waits bool) {
	if p.cut == 0 {
		return outcome{}, false
	}
	o.verdict = shot
	d := p.datagram()
	if p.nth > 0 {
		first, ok := m.firsts[d]
		if !ok {
			m.waiting = append(m.waiting, *p)
			return o, true
		}
		p.tellOf(first)
		return outcome{}, false
	}
	m.firsts[d] = *p
	for _, w := range m.waiting {
		if w.datagram() == d {
			o.again = append(o.again, w)
		}
	}
	if len(o.again) == 0 {
		return outcome{}, false
	}
	m.waiting = slices.DeleteFunc(m.waiting, func(w modelPacket) bool { return w.datagram() == d })
	o.again = slices.Insert(o.again, 0, *p)
	return o, true
}

// frame is a packet's bytes, or those of one fragment of it.
func (m *model) frame(p modelPacket) []byte {
	w := (&host{six: m.six}).wire(p.packet)
	if p.cut == 0 {
		return w.bytes()
	}
	whole := w.l4(w.ends())
	at := p.cut * p.nth
	end := min(at+p.cut, len(whole))
	w.raw, w.about, w.payload, w.fragment = true, nil, string(whole[at:end]), uint16(at/8)
	if end < len(whole) {
		w.fragment |= 0x2000
	}
	return w.bytes()
}
