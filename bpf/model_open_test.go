package bpf_test

import (
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/datapath"
)

// Ports that stand for a client's own where a server could not tell its connections apart.
const standInMin = 61000

// published is what a packet that may begin a flow asks for, an exact address before any.
func (m *model) published(p modelPacket) *modelPublish {
	if !p.opens() || p.tuple.proto == icmp {
		return nil
	}
	pub := m.publishAt(p.tuple.dst, p.tuple.proto)
	if pub == nil || !pub.target.IsValid() {
		return nil
	}
	return pub
}

func (m *model) publishAt(at netip.AddrPort, proto uint8) *modelPublish {
	if pub := m.publishes[modelPort{at, proto}]; pub != nil {
		return pub
	}
	return m.publishes[modelPort{netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()), proto}]
}

// openPublished: an outside client keeps its port unless the container knows it by that already.
func (m *model) openPublished(pub *modelPublish, p modelPacket) outcome {
	from := p.tuple.src.Addr()
	_, isHost := m.host[from]
	if isHost || m.containers[from] != nil || from.IsLoopback() || from.IsUnspecified() || from.IsMulticast() {
		return dropped(datapath.DropSource)
	}
	nat := fiveTuple{p.tuple.src, pub.target, p.tuple.proto}
	if m.isTaken(nat, p.reopens) {
		m.met["a stand-in for an outside port"]++
		if !m.choose(p, &nat, standInMin, 65535) {
			return dropped(datapath.DropNoPort)
		}
	}
	f := &modelFlow{kind: datapath.KindPublish, publish: pub}
	return m.make(f, p, nat, outsideWorld, m.containers[pub.target.Addr()].name)
}

// hairpin: a container asks for a published port of its own host. The server sees another
// port of it; where it is the server itself, the gateway.
func (m *model) hairpin(c *modelContainer, pub *modelPublish, p modelPacket) outcome {
	c.hairpins = true
	nat := fiveTuple{p.tuple.src, pub.target, p.tuple.proto}
	server := m.containers[pub.target.Addr()]
	if server == c {
		m.met["a hairpin to itself"]++
		nat.src = netip.AddrPortFrom(c.network.gateway, 0)
	}
	if !m.choose(p, &nat, standInMin, 65535) {
		return dropped(datapath.DropNoPort)
	}
	f := &modelFlow{kind: datapath.KindHairpin, publish: pub}
	return m.make(f, p, nat, c.name, server.name)
}

// openOutwards: masqueraded behind the uplink's address, or as it is.
func (m *model) openOutwards(c *modelContainer, p modelPacket) outcome {
	nat := p.tuple
	if !c.network.masquerade {
		if m.isTaken(nat, p.reopens) {
			return dropped(datapath.DropNoPort)
		}
		return m.make(&modelFlow{kind: datapath.KindForward}, p, nat, c.name, outsideWorld)
	}
	nat.src = netip.AddrPortFrom(m.uplink, nat.src.Port())
	if p.portless && m.isTaken(nat, nil) || !p.portless && !m.chooseOutside(p, &nat) {
		return dropped(datapath.DropNoPort)
	}
	return m.make(&modelFlow{kind: datapath.KindMasquerade}, p, nat, c.name, outsideWorld)
}

// openHosts: the host's own packets keep clear of containers' flows.
func (m *model) openHosts(p modelPacket) outcome {
	nat := p.tuple
	if h := m.halves[nat.reversed()]; h != nil && p.portless {
		m.remove(h.flow) // there is nothing to tell the two apart
	}
	if !m.isTaken(nat, nil) {
		if p.portless || p.tuple.proto == icmp { // no socket would tell whose its identifier is
			m.add(&modelFlow{kind: datapath.KindHost}, p.tuple, nat, hostItself, outsideWorld)
		}
		return passes(p)
	}
	if !m.chooseOutside(p, &nat) {
		return dropped(datapath.DropNoPort)
	}
	return m.make(&modelFlow{kind: datapath.KindHost}, p, nat, hostItself, outsideWorld)
}

// make adds the flow that a packet begins, in place of one that it reopens, and sends it along.
func (m *model) make(f *modelFlow, p modelPacket, nat fiveTuple, from, to string) outcome {
	m.met[fmt.Sprintf("%v, protocol %d", f.kind, p.proto)]++
	if p.reopens != nil {
		m.remove(p.reopens)
		m.met[fmt.Sprintf("%v again", f.kind)]++
	}
	m.add(f, p.tuple, nat, from, to)
	return m.along(f.there, p)
}

// isTaken: answers to this tuple are another flow's.
func (m *model) isTaken(nat fiveTuple, reopens *modelFlow) bool {
	h := m.halves[nat.reversed()]
	return h != nil && h.flow != reopens
}

// isFree: nobody else has it, no publish has its port, and no process of the host.
func (m *model) isFree(nat fiveTuple, reopens *modelFlow) bool {
	anyAddr := netip.AddrPortFrom(netip.IPv4Unspecified(), nat.src.Port())
	return !m.isTaken(nat, reopens) && m.publishAt(nat.src, nat.proto) == nil &&
		!m.sockets[modelPort{anyAddr, nat.proto}]
}

// chooseOutside keeps the sender's port where it is free. Below 1024 stays below.
func (m *model) chooseOutside(p modelPacket, nat *fiveTuple) bool {
	if m.isFree(*nat, p.reopens) {
		return true
	}
	if nat.proto != icmp && nat.src.Port() < 1024 {
		m.met["a port below 1024"]++
		return m.choose(p, nat, 1, 1023)
	}
	return m.choose(p, nat, m.portMin, m.portMax)
}

// choose takes the source port that the program has chosen, which must be one of a range and
// free. False: none is.
func (m *model) choose(p modelPacket, nat *fiveTuple, low, high uint16) bool {
	with := func(port uint16) fiveTuple {
		t := *nat
		t.src = netip.AddrPortFrom(t.src.Addr(), port)
		return t
	}
	port := low
	for !m.isFree(with(port), p.reopens) {
		if port == high {
			return false
		}
		port++
	}
	chosen := m.pick(p)
	*nat = with(chosen)
	if chosen < low || chosen > high || !m.isFree(*nat, p.reopens) {
		m.faults = append(m.faults, fmt.Sprintf("%v was chosen, not a free port from %d to %d", *nat, low, high))
	}
	return true
}
