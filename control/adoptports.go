package control

import (
	"net/netip"
	"slices"
	"strings"

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
	id      string // of the container
	fresh   bool   // it did not say so before
	kept    bool   // it has the port already
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
		for _, port := range c.Ports {
			pub, ok := p.adoptPort(sb, port)
			pub.Allow = allowOf(sb, pub, c.Ports)
			if !ok {
				continue
			}
			i := slices.IndexFunc(own, func(o store.Publish) bool { return overlap(o, pub) })
			if i >= 0 {
				p.refuse(portName(pub), "%s publishes %s, which is published to %s already and stays so: \"ebnet unpublish %s\" ends that",
					sb.Name, hostSide(pub), own[i].Sandbox, strings.TrimSuffix(hostSide(own[i]), "/tcp"))
				continue
			}
			cl := claim{publish: pub, id: c.ID}
			p.claims[cl.name()] = true
			old := want.publishes[pub.Key()]
			cl.fresh, cl.kept = !before[cl.name()], foreign(old.Owner) && want.sandboxes[old.Sandbox].ID == c.ID
			claims = append(claims, cl)
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int { return b.rank() - a.rank() })
	for i, c := range claims {
		beaten := slices.ContainsFunc(claims[:i], func(o claim) bool { return overlap(o.publish, c.publish) })
		if !beaten {
			p.next.publishes[c.publish.Key()] = c.publish
		}
	}
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

// adoptPort is a port that an engine publishes as it is wanted here; not ok if
// there is nothing to do for it.
func (p *adoption) adoptPort(sb store.Sandbox, port engine.Port) (store.Publish, bool) {
	host := port.HostIP.Unmap()
	if !host.IsValid() {
		host = netip.IPv4Unspecified()
	}
	if host.Is6() || port.HostPort == 0 {
		return store.Publish{}, false
	}
	pub := store.Publish{
		Proto: port.Proto, HostIP: host, HostPort: port.HostPort, HostPortEnd: port.HostPortEnd,
		Sandbox: sb.Name, Port: port.Port, PortEnd: port.PortEnd, Owner: ownerDocker,
	}
	if port.Proto != datapath.TCP.String() && port.Proto != datapath.UDP.String() {
		p.refuse(portName(pub), "%s publishes %s: %s is not supported yet", sb.Name, hostSide(pub), port.Proto)
		return pub, false
	}
	return pub, true
}

// portName names a port of a container for a refusal.
func portName(p store.Publish) string { return p.Sandbox + " " + hostSide(p) }

// overlap says whether two publishes have a host port in common. The same port of
// all addresses and of one are two.
func overlap(a, b store.Publish) bool {
	return a.Proto == b.Proto && a.HostIP == b.HostIP && a.HostPort <= b.HostPortEnd && b.HostPort <= a.HostPortEnd
}

// allowOf is who may connect to a port of a container that its engine publishes: as
// it was said of this port, or of one that stood in its place before the engine
// chose another host port for it.
func allowOf(sb store.Sandbox, pub store.Publish, ports []engine.Port) []netip.Prefix {
	var found []netip.Prefix
	for _, a := range sb.Allow {
		if a.Proto != pub.Proto || a.HostIP != pub.HostIP || a.Port != pub.Port {
			continue
		}
		if a.HostPort == pub.HostPort {
			return a.Allow
		}
		if !slices.ContainsFunc(ports, func(p engine.Port) bool { return p.HostPort == a.HostPort && p.Port == a.Port }) {
			found = a.Allow
		}
	}
	return found
}

// rememberAllow puts the source lists of ports that an engine publishes beside its
// containers as well, where they outlast the ports, and how they were into was.
func (a *Agent) rememberAllow(c, was *change) {
	changed := map[string]store.Sandbox{}
	for _, p := range c.putPublishes {
		if !foreign(p.Owner) {
			continue
		}
		sb, again := changed[p.Sandbox]
		if !again {
			sb = a.want.sandboxes[p.Sandbox]
			was.putSandboxes = append(was.putSandboxes, sb)
		}
		changed[p.Sandbox] = withAllow(sb, p)
	}
	for _, sb := range changed {
		c.putSandboxes = append(c.putSandboxes, sb)
	}
}

// withAllow is a container of an engine with the source list of one of its ports.
func withAllow(sb store.Sandbox, pub store.Publish) store.Sandbox {
	sb.Allow = slices.DeleteFunc(slices.Clone(sb.Allow), func(a store.PortAllow) bool {
		return a.Proto == pub.Proto && a.HostIP == pub.HostIP && a.Port == pub.Port && a.HostPort == pub.HostPort
	})
	sb.Allow = append(sb.Allow, store.PortAllow{
		Proto: pub.Proto, HostIP: pub.HostIP, HostPort: pub.HostPort, Port: pub.Port, Allow: pub.Allow,
	})
	return sb
}
