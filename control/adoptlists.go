package control

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/store"
)

// A source list of what an engine publishes is the host port's: it stays when the
// container goes, and whoever has the port next has the list. Where the engine chooses
// host ports by itself, the list follows the container's port.
type sourceLists = map[store.PublishKey]store.SourceList

// stretch is where a source list lies on the host ports of a publish, or beyond them.
type stretch struct {
	first, last int
	list        store.SourceList
}

func (s stretch) has(port int) bool { return s.first <= port && port <= s.last }

// limit parts one of all ports that an engine publishes to a container where source lists
// begin and end.
func (p *adoption) limit(pub store.Publish, container string, all []store.Publish) []claim {
	on := p.stretches(pub, container, all)
	var parts []claim
	for first, end := int(pub.HostPort), int(pub.HostPortEnd)+1; first < end; {
		part, next := claim{publish: pub, id: container}, end
		for _, s := range on {
			for _, edge := range []int{s.first, s.last + 1} {
				if first < edge {
					next = min(next, edge)
				}
			}
		}
		if i := slices.IndexFunc(on, func(s stretch) bool { return s.has(first) }); i >= 0 {
			part.list = on[i].list
		}
		part.publish.Allow = part.list.Allow
		part.publish.HostPort, part.publish.HostPortEnd = uint16(first), uint16(next-1)
		part.publish.Port += uint16(first) - pub.HostPort
		part.publish.PortEnd = part.publish.Port + uint16(next-1-first)
		parts = append(parts, part)
		first = next
	}
	return parts
}

// stretches are the source lists for one of a container's publishes: first those of its host
// ports, then those of ports that it had before the engine chose others, the last first.
func (p *adoption) stretches(pub store.Publish, container string, all []store.Publish) []stretch {
	var here, followed []stretch
	for _, l := range p.next.lists {
		if l.Owner != pub.Owner || l.Proto != pub.Proto || !p.isFor(l, pub.HostIP) {
			continue
		}
		length := int(l.HostPortEnd) - int(l.HostPort)
		here = append(here, stretch{int(l.HostPort), int(l.HostPortEnd), l})
		if l.Container == container && !leads(l, all) {
			first := int(pub.HostPort) + int(l.Port) - int(pub.Port)
			followed = append(followed, stretch{first, first + length, l})
		}
	}
	slices.SortFunc(followed, func(a, b stretch) int { return int(b.list.HostPort) - int(a.list.HostPort) })
	return slices.DeleteFunc(append(here, followed...), func(s stretch) bool {
		return s.last < int(pub.HostPort) || int(pub.HostPortEnd) < s.first
	})
}

// isFor says whether a source list is for ports on an address of the host. One that was made
// for all IPv4 addresses is for all IPv6 ones, too, until these have one of their own: who
// limited a port before it was published on IPv6 did not mean to leave that open.
func (p *adoption) isFor(l store.SourceList, host netip.Addr) bool {
	if l.HostIP == host {
		return true
	}
	own := l
	own.HostIP = ipv6.all()
	return l.HostIP == ipv4.all() && host == own.HostIP &&
		!slices.ContainsFunc(slices.Collect(maps.Values(p.next.lists)), func(o store.SourceList) bool { return overlap(allPorts(o), allPorts(own)) })
}

// leads says whether one of a container's publishes leads from a list's host port to
// where that led when the list was made.
func leads(l store.SourceList, publishes []store.Publish) bool {
	return slices.ContainsFunc(publishes, func(pub store.Publish) bool {
		return overlap(pub, firstPort(l)) && pub.Port+l.HostPort-pub.HostPort == l.Port
	})
}

// firstPort is a publish of the first host port of a list.
func firstPort(l store.SourceList) store.Publish {
	return store.Publish{Proto: l.Proto, HostIP: l.HostIP, HostPort: l.HostPort, HostPortEnd: l.HostPort}
}

// allPorts is a publish of all host ports of a list.
func allPorts(l store.SourceList) store.Publish {
	pub := firstPort(l)
	pub.HostPortEnd, pub.Owner = l.HostPortEnd, l.Owner
	return pub
}

// settleLists makes the source lists those of the publishes that there are now.
func (p *adoption) settleLists(served []claim) {
	if len(p.next.lists) == 0 {
		return
	}
	names := map[string]string{} // of sandboxes, by ID
	for name, sb := range p.next.sandboxes {
		names[sb.ID] = name
	}
	for _, c := range served {
		if len(c.list.Allow) == 0 {
			continue
		}
		if c.list.Container != c.id && !c.kept {
			p.heirs = append(p.heirs, c.publish)
		}
		if _, there := names[c.list.Container]; c.list.Container == c.id || !there {
			putList(p.next.lists, listOf(c.publish, c.id))
		}
	}
	for key, l := range p.next.lists {
		pubs := p.next.published(names[l.Container])
		if l.Container == "" || leads(l, pubs) || !slices.ContainsFunc(pubs, func(o store.Publish) bool { return hasPort(o, l) }) {
			continue
		}
		// Its container has left it behind. Somebody else may have the port by now.
		delete(p.next.lists, key)
		if slices.ContainsFunc(served, func(c claim) bool { return overlap(c.publish, allPorts(l)) }) {
			l.Container, l.Port = "", 0
			p.next.lists[key] = l
		}
	}
}

// hasPort says whether a publish leads to the container's port of a list.
func hasPort(p store.Publish, l store.SourceList) bool {
	return p.Owner == l.Owner && p.Proto == l.Proto && p.HostIP == l.HostIP && p.Port <= l.Port && l.Port <= p.PortEnd
}

// listOf is the source list of what an engine publishes to a container.
func listOf(p store.Publish, container string) store.SourceList {
	return store.SourceList{
		Proto: p.Proto, HostIP: p.HostIP, HostPort: p.HostPort, HostPortEnd: p.HostPortEnd,
		Owner: p.Owner, Container: container, Port: p.Port, Allow: p.Allow,
	}
}

// putList puts a source list into the place of what there is for its host ports. One
// that is empty ends that.
func putList(lists sourceLists, l store.SourceList) {
	for key, old := range maps.Clone(lists) {
		if !overlap(allPorts(old), allPorts(l)) {
			continue
		}
		delete(lists, key)
		if before := old; old.HostPort < l.HostPort {
			before.HostPortEnd = l.HostPort - 1
			lists[before.Key()] = before
		}
		if behind := old; l.HostPortEnd < old.HostPortEnd {
			behind.HostPort = l.HostPortEnd + 1
			behind.Port += behind.HostPort - old.HostPort
			lists[behind.Key()] = behind
		}
	}
	if len(l.Allow) > 0 {
		lists[l.Key()] = l
	}
}

// changeLists makes the source lists of what engines publish a part of a change, and how
// they were a part of was.
func (a *Agent) changeLists(c, was *change) {
	next := maps.Clone(a.want.lists)
	for _, p := range c.putPublishes {
		if foreign(p.Owner) {
			putList(next, listOf(p, a.want.sandboxes[p.Sandbox].ID))
		}
	}
	c.putLists, c.delLists = diffMaps(a.want.lists, next)
	was.putLists, was.delLists = diffMaps(next, a.want.lists)
}

// tellHeirs logs which containers have source lists that were made for others.
func (a *Agent) tellHeirs(plan adoption) {
	for _, p := range plan.heirs {
		a.log.Info("source list of "+hostSide(p)+" applies to "+p.Sandbox, "allow", len(p.Allow))
	}
}

// moveLists puts the source lists that earlier versions kept beside containers to their
// host ports, and says whether there were any.
func moveLists(s *store.State) (moved bool) {
	all := newDesired(*s)
	for i, sb := range s.Sandboxes {
		for _, old := range sb.Allow {
			moved = true
			p := store.Publish{
				Proto: old.Proto, HostIP: old.HostIP, HostPort: old.HostPort, HostPortEnd: old.HostPort,
				Port: old.Port, Allow: old.Allow, Owner: sb.Owner,
			}
			p.HostPortEnd = max(p.HostPort, all.publishes[p.Key()].HostPortEnd)
			if _, ok := all.lists[p.Key()]; !ok {
				putList(all.lists, listOf(p, sb.ID))
			}
		}
		s.Sandboxes[i].Allow = nil
	}
	if moved {
		s.Lists = slices.Collect(maps.Values(all.lists))
	}
	return moved
}

// shortSide is the shortest of the ways to write the host's side of a publish.
func shortSide(p store.Publish) string {
	return strings.TrimSuffix(strings.TrimPrefix(hostSide(p), "0.0.0.0:"), "/tcp")
}
