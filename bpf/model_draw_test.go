package bpf_test

import (
	"math/rand/v2"
	"slices"

	"github.com/ebnet/ebnet/datapath"
)

// modelDraw draws packets from few addresses and ports, so that they hit flows, collide and
// use tuples again.
type modelDraw struct {
	*rand.Rand
	m       *model
	pending []modelSent // fragments yet to be sent
	id      uint16      // of the last datagram in fragments

	favourite fiveTuple // of the flow that has most packets just now
	handshake []uint8   // TCP flags that it has next, of who answers first
}

// modelSent is a packet and where it comes from.
type modelSent struct {
	from string
	modelPacket
}

func draw[T any](d *modelDraw, from []T) T { return from[d.IntN(len(from))] }

// one is true once in n times.
func (d *modelDraw) one(n int) bool { return d.IntN(n) == 0 }

// next is the next packet to send.
func (d *modelDraw) next() modelSent {
	if n := len(d.pending); n > 12 || n > 0 && d.one(3) {
		return d.fragment()
	}
	s := d.whole()
	if s.ported && !s.portless && d.one(10) {
		d.cutUp(s)
		return d.fragment()
	}
	return s
}

// fragment is any of those that wait to be sent. Some are sent twice, some never, and some by
// who has no part in it.
func (d *modelDraw) fragment() modelSent {
	i := d.IntN(len(d.pending))
	s := d.pending[i]
	if d.one(40) {
		s.from = d.elsewhere(s.src)
	} else if !d.one(20) {
		d.pending = slices.Delete(d.pending, i, i+1)
	}
	return s
}

func (d *modelDraw) cutUp(s modelSent) {
	if d.id++; d.id == 0 {
		d.id = 1
		clear(d.m.firsts) // the programs have forgotten the first of that name long ago
	}
	s.id, s.fragment = d.id, 0
	s.payload = d.bytes(60 + d.IntN(80))
	w := (&host{six: d.m.six}).wire(s.packet)
	size := 24 + 8*d.IntN(6)
	for n := 0; n*size < len(w.l4(w.ends())); n++ {
		d.pending = append(d.pending, modelSent{s.from, see(s.packet, size, n)})
	}
}

// whole is a packet that is no fragment.
func (d *modelDraw) whole() (s modelSent) {
	var p packet
	switch n := d.IntN(20); {
	case n < 9 && len(d.m.flows) > 0:
		s.from, p = d.ofFlow()
	case n < 12 && len(d.m.flows) > 0:
		s.from, p = d.errorOfFlow()
	default:
		s.from = d.place()
		p = d.fromPools(s.from)
	}
	d.adorn(&p)
	s.modelPacket = see(p, 0, 0)
	return s
}

// half is either direction of a flow, most often of the same for a while, so that some go
// through all that a flow can go through.
func (d *modelDraw) half() *modelHalf {
	h := d.m.halves[d.favourite]
	if h == nil || d.one(60) {
		for tries := 0; tries == 0 || tries < 6 && h.key.proto != tcp; tries++ {
			h = draw(d, d.m.flows).there
		}
		d.favourite, d.handshake = h.key, []uint8{syn | ack, ack}
	}
	if d.one(3) {
		h = draw(d, d.m.flows).there
	}
	if d.one(2) {
		return h.flow.back
	}
	return h.flow.there
}

// ofFlow is a packet that a flow carries, or nearly.
func (d *modelDraw) ofFlow() (from string, p packet) {
	h, flags := d.half(), d.flags()
	f := d.m.halves[d.favourite].flow
	orderly := len(d.handshake) > 0 && f.there.key.proto == tcp
	if orderly {
		h, flags = map[int]*modelHalf{2: f.back, 1: f.there}[len(d.handshake)], d.handshake[0]
		d.handshake = d.handshake[1:]
	}
	from, t := h.from, h.key
	switch {
	case orderly:
	case h.flow.kind == datapath.KindHairpin && d.one(4):
		t = h.nat // a neighbour speaks directly
		flags = draw(d, []uint8{syn, flags})
	case d.one(20):
		t = h.nat // as if it had been translated
	case h.flow.kind == datapath.KindMasquerade && h == h.flow.there && d.one(10):
		from, t = hostItself, h.nat // the host has the same idea
	case h.to == outsideWorld && from != hostItself && d.one(12):
		from = kernelItself
	case d.one(20):
		from = d.elsewhere(t.src.String())
	}
	return from, packet{src: t.src.String(), dst: t.dst.String(), proto: t.proto, tcp: flags}
}

// errorOfFlow is an error about a flow's packet, or nearly.
func (d *modelDraw) errorOfFlow() (from string, p packet) {
	h := d.half()
	from = h.from
	src := h.key.src.Addr().String()
	if from == outsideWorld && d.one(3) {
		src = router
	}
	if h.to == outsideWorld && d.one(4) {
		from, src = hostItself, hostIP
	} else if d.one(25) {
		from = d.place()
	}
	if c := d.m.named(from); c != nil && !d.one(12) {
		src = c.addr.String()
	}
	about := packet{src: h.key.dst.String(), dst: h.key.src.String(), proto: h.key.proto, tcp: d.flags()}
	if d.one(12) {
		about = d.fromPools(from)
	}
	return from, d.errorAbout(src, h.key.dst.Addr().String(), about)
}

func (d *modelDraw) errorAbout(src, dst string, about packet) packet {
	about.payload = d.bytes(d.IntN(40))
	about.ttl = uint8(1 + d.IntN(64))
	about.noChecksum = about.proto == udp && d.one(10)
	about.options = d.options()
	if d.one(12) {
		about.fragment = draw(d, []uint16{0x2000, 0x2000, 0x4000, 0x2003, 3})
	}
	kinds := (&host{six: d.m.six}).errors()
	e := errorPacket(src, dst, draw(d, kinds), about, 8)
	w := (&host{six: d.m.six}).wire(about)
	if all := len(w.l4(w.ends())); d.one(2) && all > 7 {
		e.quote = 7 + d.IntN(all-6)
	} else if all < 8 {
		e.quote = all
	}
	if about.proto == tcp && e.quote == 17 {
		e.quote = 16 // half a checksum can be neither left nor translated
	}
	return e
}
