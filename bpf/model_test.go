package bpf_test

import (
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/datapath"
)

// model is what the programs should do to packets, said a second time and in the plainest
// way: maps of five-tuples, no locks, no ages, no tables that fill up. All its addresses are
// those of IPv4; IPv6 differs in very little, and host.wire() has its addresses.
type model struct {
	six        bool
	containers map[netip.Addr]*modelContainer
	host       map[netip.Addr]bool // the host's own addresses; true: a broadcast address
	uplink     netip.Addr          // by which masqueraded packets leave
	portMin    uint16              // masquerade chooses from here ...
	portMax    uint16              // ... to here
	sockets    map[modelPort]bool  // ports that processes of the host have, on any address
	publishes  map[modelPort]*modelPublish

	halves  map[fiveTuple]*modelHalf // by how their packets come
	flows   []*modelFlow             // the same, oldest first: a map has no order to draw from
	firsts  map[modelDatagram]modelPacket
	waiting []modelPacket // fragments that wait for their first
	drops   map[modelDrop]uint64
	counts  map[modelCount]uint64

	// pick says which port the program has chosen for a packet's flow.
	pick   func(p modelPacket) uint16
	faults []string       // choices that were not the program's to make
	met    map[string]int // cases that a run should have had
}

// Where a packet comes from besides a container, whose name is its place.
const (
	outsideWorld = "outside"
	hostItself   = "host"
	kernelItself = "kernel" // it forwards what was handed to it
)

// modelContainer is one container and what of its network matters.
type modelContainer struct {
	name     string
	slot     uint32 // of its counters
	addr     netip.Addr
	network  *modelNetwork
	hairpins bool // it has used a published port of its host
}

type modelNetwork struct {
	gateway    netip.Addr
	masquerade bool
	internal   bool
	apart      bool // its containers do not reach each other
}

// modelPort is a port of the host; the address is 0.0.0.0 for all.
type modelPort struct {
	netip.AddrPort
	proto uint8
}

// modelPublish is where a port leads; a target that is not valid: it is only kept.
type modelPublish struct {
	at      modelPort
	target  netip.AddrPort
	written datapath.Publish
}

// fiveTuple has an echo's identifier in the place of its sender's port, where it was asked.
type fiveTuple struct {
	src, dst netip.AddrPort
	proto    uint8
}

func (t fiveTuple) reversed() fiveTuple { return fiveTuple{t.dst, t.src, t.proto} }

// modelFlow is one conversation. Its halves are the two directions.
type modelFlow struct {
	kind        datapath.FlowKind
	there, back *modelHalf // there: as the initiator sends
	publish     *modelPublish
	state       modelState
	over        bool // a new connection has wanted its tuple, and has not been made
}

// modelHalf is what happens to one direction's packets.
type modelHalf struct {
	flow     *modelFlow
	key, nat fiveTuple // as they come, as they go on
	from, to string    // places
}

// modelState is how far a flow has come: [0] the initiator, [1] who answers.
type modelState struct {
	replied, established bool
	fin                  [2]bool
	rst                  bool
}

// closed: a new connection may have the tuple.
func (s modelState) closed() bool { return s.rst || s.fin[0] && s.fin[1] }

// closing: it is no living connection any more.
func (s modelState) closing() bool { return s.rst || s.fin[0] || s.fin[1] }

func newModel(six bool) *model {
	return &model{
		six:        six,
		containers: map[netip.Addr]*modelContainer{},
		host:       map[netip.Addr]bool{},
		sockets:    map[modelPort]bool{},
		publishes:  map[modelPort]*modelPublish{},
		halves:     map[fiveTuple]*modelHalf{},
		firsts:     map[modelDatagram]modelPacket{},
		drops:      map[modelDrop]uint64{},
		counts:     map[modelCount]uint64{},
		met:        map[string]int{},
	}
}

// add makes a flow: packets by key go on as nat, and their answers back.
func (m *model) add(f *modelFlow, key, nat fiveTuple, from, to string) {
	f.there = &modelHalf{f, key, nat, from, to}
	f.back = &modelHalf{f, nat.reversed(), key.reversed(), to, from}
	m.halves[f.there.key], m.halves[f.back.key] = f.there, f.back
	m.flows = append(m.flows, f)
}

func (m *model) remove(f *modelFlow) {
	delete(m.halves, f.there.key)
	delete(m.halves, f.back.key)
	m.flows = slices.DeleteFunc(m.flows, func(o *modelFlow) bool { return o == f })
}

// unpublish ends a publish and what came by it.
func (m *model) unpublish(p *modelPublish) {
	delete(m.publishes, p.at)
	for _, f := range slices.Clone(m.flows) {
		if f.publish == p {
			m.remove(f)
		}
	}
}

// endAll ends every flow.
func (m *model) endAll() {
	clear(m.halves)
	m.flows = nil
}

// find is the flow's half that carries a packet. A new connection over the tuple of one that
// has ended finds none, and takes its place if it is made.
func (m *model) find(p *modelPacket, from string) *modelHalf {
	h := m.halves[p.tuple]
	if h == nil || !p.ported {
		return nil
	}
	f := h.flow
	if p.isSYN() && h == f.there && (f.over || f.state.closed()) {
		m.reopen(p, f, from)
		return nil
	}
	if f.over && h == f.there || h.from != from { // nobody sends in another's name
		return nil
	}
	return h
}

func (m *model) reopen(p *modelPacket, f *modelFlow, from string) {
	switch {
	case f.there.from != from:
	case f.kind == datapath.KindHost:
		m.remove(f)
	default:
		f.over = true
		p.reopens = f
	}
}

// touch notes what a packet means for its flow's life.
func (m *model) touch(h *modelHalf, p modelPacket) {
	f, who := h.flow, 0
	if h == f.back {
		who = 1
	}
	before := f.state
	if who == 1 && p.flags&rst == 0 {
		f.state.replied = true
	}
	f.state.fin[who] = f.state.fin[who] || p.flags&fin != 0
	f.state.rst = f.state.rst || p.flags&rst != 0
	if f.state == before && before.rst && p.flags&(rst|syn) == 0 {
		f.state.rst = false // nothing new but data: that RST was not believed
		m.met["an RST is not believed"]++
	}
	if who == 0 && f.state.replied && (p.tuple.proto != tcp || p.flags&ack != 0) {
		f.state.established = true
	}
	if f.state != before {
		f.over = false // who answers does not know of a new connection
	}
}
