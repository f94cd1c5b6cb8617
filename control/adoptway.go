package control

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/store"
)

// wayOut is the network by which the default route of an engine's container leads,
// to which the engine's published ports go: the kernel knows it. Where it cannot be
// read it is what was told, or the first by name, until the next reconcile looks again.
func (a *Agent) wayOut(sb store.Sandbox, told string) string {
	ats := bridged(sb)
	have, err := a.links.Inside(sb.Netns)
	if err != nil {
		a.log.Debug("default route not read", "sandbox", sb.Name, "error", err)
		a.unsure[sb.Name] = true
	}
	for _, link := range have.links {
		if have.way == 0 || link.Index != have.way {
			continue
		}
		for _, at := range ats {
			if slices.ContainsFunc(at.Addresses, func(p netip.Prefix) bool { return slices.Contains(link.Addrs, p) }) {
				return at.Network
			}
		}
	}
	if _, on := findAttachment(sb, told); on {
		return told
	}
	return slices.MinFunc(ats, func(x, y store.Attachment) int { return cmp.Compare(x.Network, y.Network) }).Network
}

// guestPublishNetwork is publishNetwork for an engine's container, which need not run:
// without a name it is empty, for that of the default route at any time.
func (a *Agent) guestPublishNetwork(sb store.Sandbox, name string, f family) (string, error) {
	if name != "" {
		n, err := a.findNetwork(name)
		if err != nil {
			return "", err
		}
		name = n.Name
	}
	at, on := findAttachment(sb, cmp.Or(name, sb.Way))
	_, has := f.addrOf(at)
	n := a.want.networks[cmp.Or(name, sb.Way)]
	switch {
	case n.Internal:
		return "", fmt.Errorf("network %s is internal: nothing outside reaches it", cmp.Or(name, sb.Way))
	case has, sb.Netns == "" && (f.servedBy(n) || f == ipv4 && len(n.Subnets) == 0):
		return name, nil
	case on, sb.Netns == "":
		return "", familyError{sb.Name, cmp.Or(name, sb.Way), f}
	case name == "":
		return "", fmt.Errorf("sandbox %s has no network", sb.Name)
	}
	return "", fmt.Errorf("sandbox %s is not on network %s", sb.Name, name)
}

// followAgain is followWay for what could not be read before.
func (p *pass) followAgain(sb store.Sandbox) {
	if err := p.followWay(sb); err != nil {
		p.fail("lead published ports to "+sb.Name, err)
	}
}

// followWay leads what is published to an engine's container to the network of its
// default route, which may have changed without a word to the host.
func (a *Agent) followWay(sb store.Sandbox) error {
	delete(a.unsure, sb.Name)
	if len(bridged(sb)) < 2 {
		return nil
	}
	way := a.wayOut(sb, sb.Way)
	if way == sb.Way {
		return nil
	}
	sb.Way = way
	next := a.want
	next.sandboxes = maps.Clone(next.sandboxes)
	next.sandboxes[sb.Name] = sb
	a.adopted.unsaved = true
	return a.become(next)
}
