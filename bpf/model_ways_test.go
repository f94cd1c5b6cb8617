package bpf_test

import "github.com/ebnet/ebnet/datapath"

// fromContainer: what a container sends.
func (m *model) fromContainer(c *modelContainer, p modelPacket) outcome {
	if p.malformed {
		return dropped(datapath.DropInvalid)
	}
	own := p.tuple.src.Addr() == c.addr
	to := m.containers[p.tuple.dst.Addr()]
	between := to != nil && !to.hairpins // no flow can be theirs
	if !between {
		if own {
			if o, waits := m.gather(&p); waits {
				return o
			}
		}
		if h := m.find(&p, c.name); h != nil {
			return m.along(h, p)
		}
	}
	group := p.tuple.dst.Addr().IsMulticast()
	if !own && !(m.six && group && p.tuple.src.Addr().IsUnspecified()) {
		return dropped(datapath.DropSource)
	}
	if m.six && group {
		return m.toGroup(c, p)
	}
	if p.isError && !between {
		if o, ok := m.errorAlong(c.name, &p); ok {
			return o
		}
	}
	broadcast, isHost := m.host[p.tuple.dst.Addr()]
	switch {
	case to != nil:
		return m.toNeighbour(c, to, p)
	case group, broadcast:
		m.count(c.name, hostItself)
		return passes(p)
	case isHost:
		return m.toHost(c, p)
	}
	return m.toOutside(c, p)
}

// toNeighbour: containers of one network speak freely.
func (m *model) toNeighbour(c, to *modelContainer, p modelPacket) outcome {
	if c.network != to.network || c.network.apart {
		return dropped(datapath.DropIsolated)
	}
	if h := m.halves[p.tuple.reversed()]; p.opens() && h != nil && h.flow.kind == datapath.KindHairpin {
		// the very port that stands for the sender: who spoke last is answered
		if s := h.flow.state; p.tuple.proto == tcp && s.established && !s.closing() {
			m.met["a neighbour must wait for a hairpin"]++
			return dropped(datapath.DropNoPort)
		}
		m.met["a neighbour ends a hairpin"]++
		m.remove(h.flow)
	}
	m.count(c.name, to.name)
	return redirected(p, to.name)
}

// toHost: a container speaks to its host, and may mean a published port.
func (m *model) toHost(c *modelContainer, p modelPacket) outcome {
	if c.network.internal {
		if p.tuple.dst.Addr() != c.network.gateway {
			return dropped(datapath.DropIsolated)
		}
	} else if pub := m.published(p); pub != nil {
		return m.hairpin(c, pub, p)
	}
	m.count(c.name, hostItself)
	return passes(p)
}

// toGroup: IPv6's own needs of a link, and more where neighbours may speak.
func (m *model) toGroup(c *modelContainer, p modelPacket) outcome {
	kind := byte(0)
	if p.proto == icmp && p.nth == 0 && p.raw {
		kind = p.payload[0]
	}
	switch {
	case kind == 134 || kind == 137:
		return dropped(datapath.DropSource)
	case c.network.apart && (kind < 130 || kind > 143):
		return dropped(datapath.DropIsolated)
	}
	m.count(c.name, hostItself)
	return passes(p)
}

// toOutside: only what begins a flow may go without one.
func (m *model) toOutside(c *modelContainer, p modelPacket) outcome {
	switch {
	case c.network.internal:
		return dropped(datapath.DropIsolated)
	case p.tuple.dst.Addr().IsLoopback(), p.tuple.dst.Addr().IsUnspecified():
		return dropped(datapath.DropNoRoute)
	case p.nth > 0 && !p.ported:
		return dropped(datapath.DropFragment)
	case p.isError:
		return dropped(datapath.DropNoFlow)
	case !p.ported:
		return dropped(datapath.DropUnsupported)
	case !p.opens(), p.tuple.proto == icmp && !p.isRequest():
		return dropped(datapath.DropNoFlow)
	case p.ttl <= 1:
		return handed(p, datapath.DropTTL)
	}
	return m.openOutwards(c, p)
}

// fromOutside: what comes by the uplink.
func (m *model) fromOutside(p modelPacket) outcome {
	if p.malformed {
		return passes(p)
	}
	broadcast, isHost := m.host[p.tuple.dst.Addr()]
	to := m.containers[p.tuple.dst.Addr()]
	if isHost || to != nil {
		if o, waits := m.gather(&p); waits {
			return o
		}
	}
	if h := m.find(&p, outsideWorld); h != nil {
		return m.along(h, p)
	}
	if p.isError {
		if o, ok := m.errorAlong(outsideWorld, &p); ok {
			return o
		}
	}
	if to != nil {
		return dropped(datapath.DropDirect)
	}
	if pub := m.published(p); pub != nil && isHost && !broadcast {
		return m.openPublished(pub, p)
	}
	return passes(p)
}

// fromHost: what the host itself sends by the uplink.
func (m *model) fromHost(p modelPacket) outcome {
	if p.malformed {
		return passes(p)
	}
	if p.isError {
		return m.errorMade(p)
	}
	if h := m.find(&p, hostItself); h != nil {
		return m.along(h, p)
	}
	if !p.opens() || p.tuple.proto == icmp && !p.isRequest() {
		return passes(p)
	}
	return m.openHosts(p)
}

// fromKernel: what was handed to the kernel leaves by the uplink, or what looks like it.
func (m *model) fromKernel(p modelPacket) outcome {
	if p.malformed {
		return passes(p)
	}
	if first, ok := m.firsts[p.datagram()]; p.nth > 0 && ok {
		p.tellOf(first)
	} else if p.cut > 0 && p.nth == 0 {
		m.firsts[p.datagram()] = p
	}
	h := m.halves[p.tuple]
	if h == nil || !p.ported || h.to != outsideWorld || h.flow.kind == datapath.KindHost || h.flow.over {
		return dropped(datapath.DropLeak)
	}
	m.touch(h, p)
	return passes(p.becomes(h.nat, 0))
}
