package control

import (
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// keepPublishes keeps what ebnet publishes itself, also on an engine's containers:
// there it follows the container's name, and goes with the container.
func (p *adoption) keepPublishes(want desired) {
	names := map[string]string{}
	for name, sb := range p.next.sandboxes {
		names[sb.ID] = name
	}
	for key, pub := range want.publishes {
		if foreign(pub.Owner) {
			continue
		}
		if old, known := want.sandboxes[pub.Sandbox]; known {
			pub.Sandbox = names[old.ID]
		}
		if _, ok := p.next.sandboxes[pub.Sandbox]; ok {
			p.next.publishes[key] = pub
		}
	}
}

// claim is a port that a container says it has.
type claim struct {
	publish store.Publish
	list    store.SourceList // that says who may connect; zero: anyone
	id      string           // of the container
	fresh   bool             // it did not say so before
	kept    bool             // it has the port already
}

// name tells a claim from others, whatever the container is called.
func (c claim) name() string { return c.id + " " + c.publish.Key().String() }

// publishes adds the ports that the engine publishes. Of two containers that claim
// one port the newcomer has it: the engine knows that the other has let it go, and
// only has not said so yet. What ebnet publishes itself stays.
func (p *adoption) publishes(want desired, world engine.World, before map[string]bool) {
	own := p.next.publishList()
	var claims []claim
	p.claims = map[string]bool{}
	for _, c := range world.Containers {
		sb := p.next.sandboxes[engineName(ownerDocker, c.Name)]
		all := p.adoptPorts(sb, c.Ports)
		for _, pub := range all {
			i := slices.IndexFunc(own, func(o store.Publish) bool { return overlap(o, pub) })
			if i >= 0 {
				p.refuse(portName(pub), "%s publishes %s, which is published to %s already and stays so: \"ebnet unpublish %s\" ends that",
					sb.Name, hostSide(pub), own[i].Sandbox, shortSide(own[i]))
				continue
			}
			for _, cl := range p.limit(pub, c.ID, all) {
				p.claims[cl.name()] = true
				old := want.publishes[cl.publish.Key()]
				cl.fresh, cl.kept = !before[cl.name()], foreign(old.Owner) && want.sandboxes[old.Sandbox].ID == c.ID
				claims = append(claims, cl)
			}
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return b.rank() - a.rank() })
	var served []claim
	for i, c := range claims {
		beaten := slices.ContainsFunc(claims[:i], func(o claim) bool { return overlap(o.publish, c.publish) })
		if !beaten {
			p.next.publishes[c.publish.Key()] = c.publish
			served = append(served, c)
		}
	}
	p.settleLists(served)
}

func (c claim) rank() int {
	switch {
	case c.fresh:
		return 2
	case c.kept:
		return 1
	}
	return 0
}

// adoptPorts are the ports that an engine publishes as they are wanted here.
func (p *adoption) adoptPorts(sb store.Sandbox, ports []engine.Port) []store.Publish {
	var out []store.Publish
	for _, port := range ports {
		if pub, ok := p.adoptPort(sb, port); ok {
			out = append(out, pub)
		}
	}
	return out
}

// adoptPort is a port that an engine publishes as it is wanted here; not ok if
// there is nothing to do for it.
func (p *adoption) adoptPort(sb store.Sandbox, port engine.Port) (store.Publish, bool) {
	host := port.HostIP.Unmap()
	if !host.IsValid() {
		host = netip.IPv4Unspecified()
	}
	pub := store.Publish{
		Proto: port.Proto, HostIP: host, HostPort: port.HostPort, HostPortEnd: port.HostPortEnd,
		Sandbox: sb.Name, Port: port.Port, PortEnd: port.PortEnd, Owner: ownerDocker,
	}
	// Docker publishes on [::] whatever a container has, for its proxy.
	var has bool
	if pub.Network, has = p.wayOf(sb, familyOf(host)); !has || port.HostPort == 0 {
		return pub, false
	}
	if port.Proto != datapath.TCP.String() && port.Proto != datapath.UDP.String() {
		p.refuse(portName(pub), "%s publishes %s: %s is not supported yet", sb.Name, hostSide(pub), port.Proto)
		return pub, false
	}
	return pub, true
}

// wayOf is the network by which what an engine publishes on addresses of a family leads to
// a container: empty for that of the default route, unless that has no such addresses. Not
// ok if the container has addresses, but none of the family that leads out.
func (p *adoption) wayOf(sb store.Sandbox, f family) (network string, ok bool) {
	if _, has := attachedTo(sb, "", f); has {
		return "", true
	}
	ats := bridged(sb)
	for _, at := range ats {
		if _, has := f.addrOf(at); has && !p.next.networks[at.Network].Internal {
			return at.Network, true
		}
	}
	return "", len(ats) == 0
}

// portName names a port of a container for a refusal.
func portName(p store.Publish) string { return p.Sandbox + " " + hostSide(p) }

// overlap says whether two publishes have a host port in common. The same port of
// all addresses and of one are two.
func overlap(a, b store.Publish) bool {
	return a.Proto == b.Proto && a.HostIP == b.HostIP && a.HostPort <= b.HostPortEnd && b.HostPort <= a.HostPortEnd
}
