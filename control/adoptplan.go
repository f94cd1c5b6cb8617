package control

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/store"
)

// adoption is what an engine's world makes of what is wanted.
type adoption struct {
	next    desired
	claims  map[string]bool // the host ports that its containers say are theirs
	heirs   []store.Publish // those that have a source list which others had before
	refused []refusal       // what is left out
}

// wayFinder finds the network by which a container's default route leads, for which
// the engine has an answer, too.
type wayFinder func(sb store.Sandbox, told string) string

// circumstances are what a plan depends on beside the engine's world.
type circumstances struct {
	claims map[string]bool // the host ports that containers said are theirs the last time
	way    wayFinder
}

// planAdoption puts an engine's world into the place of what was wanted of it so
// far. Things are known again by their ID, so what hangs on a container stays with
// it when its name changes, and goes with it. It changes nothing of what it is given.
func planAdoption(want desired, world engine.World, given circumstances) adoption {
	p := adoption{next: desired{
		networks: map[string]store.Network{}, sandboxes: map[string]store.Sandbox{}, publishes: map[store.PublishKey]store.Publish{},
		lists: map[store.PublishKey]store.SourceList{},
	}}
	maps.Copy(p.next.lists, want.lists)
	for name, n := range want.networks {
		if !foreign(n.Owner) {
			p.next.networks[name] = n
		}
	}
	for name, sb := range want.sandboxes {
		if !foreign(sb.Owner) {
			p.next.sandboxes[name] = sb
		}
	}
	p.networks(want, world)
	p.sandboxes(want, world, given.way)
	p.keepPublishes(want)
	p.publishes(want, world, given.claims)
	return p
}

// refusal is one thing of an engine's that is left out.
type refusal struct {
	what string // a network's name, or a container's and a host port
	why  string // one sentence
}

func (p *adoption) refuse(what, format string, args ...any) {
	p.refused = append(p.refused, refusal{what, fmt.Sprintf(format, args...)})
}

// problems are the sentences of what is left out.
func (p *adoption) problems() []string {
	var out []string
	for _, r := range p.refused {
		out = append(out, r.why)
	}
	return out
}

// networks adds the engine's networks. Each keeps its number in the datapath, by its
// ID or else by its name: Docker makes its default network anew when it starts.
func (p *adoption) networks(want desired, world engine.World) {
	known := map[string]store.Network{} // by ID and by name, which do not look alike
	bridges := map[string]string{}
	taken := map[uint16]bool{0: true}
	for _, n := range want.networkList() {
		if foreign(n.Owner) {
			known[n.Name], known[n.ID] = n, n
			continue
		}
		taken[n.Index] = true
		if n.Bridge != "" {
			bridges[n.Bridge] = n.Name
		}
	}
	used := maps.Clone(taken)
	for _, n := range known {
		used[n.Index] = true
	}
	for _, n := range world.Networks {
		if other, ours := bridges[n.Bridge]; ours {
			p.refuse(engineName(ownerDocker, n.Name), "Docker's network %s is not adopted: its bridge %s is that of network %s", n.Name, n.Bridge, other)
			continue
		}
		before, ok := known[n.ID]
		if !ok {
			before, ok = known[engineName(ownerDocker, n.Name)]
		}
		out := adoptNetwork(n, before)
		if n.MasqueradeUnknown { // rather too much is translated than private addresses leave
			out.Masquerade = !ok || before.Masquerade
		}
		if taken[out.Index] {
			out.Index = lowestFree(used)
		}
		taken[out.Index], used[out.Index] = true, true
		p.next.networks[out.Name] = out
	}
}

// lowestFree is the lowest number that is not taken.
func lowestFree(taken map[uint16]bool) uint16 {
	for i := uint16(1); ; i++ {
		if !taken[i] {
			return i
		}
	}
}

// adoptNetwork is an engine's network as it is wanted here. It keeps its number, and
// the gateway that was learned of the bridge.
func adoptNetwork(n engine.Network, before store.Network) store.Network {
	out := store.Network{
		Name: engineName(ownerDocker, n.Name), ID: n.ID, Index: before.Index, Driver: api.DriverBridge, Owner: ownerDocker,
		Bridge: n.Bridge, MTU: n.MTU, Internal: n.Internal, ICC: n.ICC, Masquerade: n.Masquerade, HostIP: n.HostIP,
		Options: n.Options, Labels: n.Labels, Created: n.Created,
	}
	for _, s := range n.Subnets {
		i := slices.IndexFunc(before.Subnets, func(b store.Subnet) bool { return b.Prefix == s.Prefix })
		if i >= 0 && !s.Gateway.IsValid() {
			s.Gateway = before.Subnets[i].Gateway
		}
		out.Subnets = append(out.Subnets, store.Subnet{Prefix: s.Prefix, Range: s.Range, Gateway: s.Gateway})
	}
	slices.SortStableFunc(out.Subnets, func(a, b store.Subnet) int { // IPv4 first
		return a.Prefix.Addr().BitLen() - b.Prefix.Addr().BitLen()
	})
	return out
}

// sandboxes adds the engine's containers, whether they run or not.
func (p *adoption) sandboxes(want desired, world engine.World, way wayFinder) {
	byID := map[string]store.Sandbox{}
	for _, sb := range want.sandboxes {
		if foreign(sb.Owner) {
			byID[sb.ID] = sb
		}
	}
	for _, c := range world.Containers {
		sb := store.Sandbox{
			Name: engineName(ownerDocker, c.Name), ID: c.ID, Owner: ownerDocker, Netns: c.Netns,
			Labels: c.Labels, Created: c.Created, Attachments: p.attachments(c),
		}
		old := byID[c.ID]
		sb.Way = old.Way
		switch ats := bridged(sb); {
		case len(ats) == 1:
			sb.Way = ats[0].Network
		case len(ats) > 1 && (sb.Netns != old.Netns || !samePlaces(ats, bridged(old))):
			sb.Way = way(sb, defaultNetwork(c))
		}
		p.next.sandboxes[sb.Name] = sb
	}
}

// attachments are a container's places on the networks that were adopted.
func (p *adoption) attachments(c engine.Container) []store.Attachment {
	if c.OnHost {
		return []store.Attachment{{Network: networkHost}}
	}
	var out []store.Attachment
	for _, ep := range c.Endpoints {
		network := engineName(ownerDocker, ep.Network)
		if _, adopted := p.next.networks[network]; adopted && len(ep.Addresses) > 0 {
			out = append(out, store.Attachment{Network: network, Addresses: ep.Addresses, MAC: ep.MAC})
		}
	}
	return out
}

// defaultNetwork is the network by which the engine says that a container's default
// route leads, where it does.
func defaultNetwork(c engine.Container) string {
	for _, ep := range c.Endpoints {
		if ep.Default {
			return engineName(ownerDocker, ep.Network)
		}
	}
	return ""
}

// samePlaces says whether two lists are of the same addresses on the same networks.
func samePlaces(a, b []store.Attachment) bool {
	return slices.EqualFunc(a, b, func(x, y store.Attachment) bool {
		return x.Network == y.Network && slices.Equal(x.Addresses, y.Addresses)
	})
}
