package control

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

// observed is what the kernel has, read in one go but for publishes.
type observed struct {
	links     map[string]netdev.LinkInfo
	routes    []netdev.Route
	netns     map[string]bool
	programs  map[int][]loader.Attachment // by ifindex; 0: the cgroup's
	endpoints map[uint32]datapath.Endpoint
	networks  map[uint16]datapath.Network
	publishes []datapath.Publish // as they were before Agent.ops was held
}

// needs are the parts of an attachment that are missing or wrong.
type needs struct {
	netns, veth, program, entry, up, mtu bool
}

// none says that nothing is missing.
func (n needs) none() bool { return n == needs{} }

// String lists what is missing, for the log.
func (n needs) String() string {
	var out []string
	for _, part := range []struct {
		missing bool
		name    string
	}{
		{n.netns, "namespace"}, {n.veth, "link"}, {n.program, "program"}, {n.entry, "entry"}, {n.up, "configuration"}, {n.mtu, "MTU"},
	} {
		if part.missing {
			out = append(out, part.name)
		}
	}
	return strings.Join(out, ", ")
}

// endpointNeeds compares an attachment with the kernel. What depends on a
// missing part is missing, too.
func endpointNeeds(have observed, netns string, want netdev.Veth, entry datapath.Endpoint, bridge int) needs {
	link, ok := have.links[want.Host]
	switch {
	case !have.netns[netns]:
		return needs{netns: true, veth: true, program: true, entry: true, up: true}
	case !ok || link.Kind != "veth":
		return needs{veth: true, program: true, entry: true, up: true}
	}
	found := have.endpoints[uint32(link.Index)]
	entry.Ifindex, entry.Slot = uint32(link.Index), found.Slot
	return needs{
		program: !hasProgram(have.programs[link.Index], "ingress"),
		entry:   found != entry,
		up:      !link.Up || link.Master != bridge || link.Isolated != want.Isolated,
		mtu:     link.MTU != want.MTU,
	}
}

// hasProgram says whether one of ours is on a device's hook of that direction.
func hasProgram(attached []loader.Attachment, direction string) bool {
	return slices.ContainsFunc(attached, func(at loader.Attachment) bool {
		return strings.HasSuffix(at.Hook, "/"+direction)
	})
}

// bridgeNeeds says whether a bridge is not as it should be.
func bridgeNeeds(have observed, want netdev.Bridge) bool {
	link, ok := have.links[want.Name]
	return !ok || link.Kind != "bridge" || !link.Up ||
		slices.ContainsFunc(want.Addrs, func(p netip.Prefix) bool { return !slices.Contains(link.Addrs, p) }) ||
		!want.Foreign && (!bytes.Equal(link.MAC, want.MAC) || len(unrouted(have, want)) > 0)
}

// unrouted are the addresses of a bridge without the routes that come with them: the
// host neither reaches their subnets by it nor answers to them.
func unrouted(have observed, want netdev.Bridge) []netip.Prefix {
	link := have.links[want.Name]
	if !link.Up || link.Master != 0 { // none are due, or in the table of a VRF
		return nil
	}
	return slices.DeleteFunc(slices.Clone(want.Addrs), func(p netip.Prefix) bool {
		return !slices.Contains(link.Addrs, p) || netdev.HasRoutes(have.routes, link.Index, p)
	})
}

// fits says whether a bridge has the MTU that it should have. The kernel changes it
// by itself when ports come and go, until it was set once.
func fits(have observed, want netdev.Bridge) bool {
	return want.Foreign || want.MTU == 0 || have.links[want.Name].MTU == want.MTU
}

// diffPublishes compares by everything but the slot. What is to be removed comes
// off before what is to be added, which may be on the same ports.
func diffPublishes(have []datapath.Publish, want map[store.PublishKey]datapath.Publish) (
	add []store.PublishKey, remove []datapath.Publish, slots map[store.PublishKey]uint32,
) {
	slots = map[store.PublishKey]uint32{}
	for _, h := range have {
		key := store.PublishKey{Proto: h.Proto.String(), HostIP: h.Host, HostPort: h.HostPort}
		w, ok := want[key]
		w.Slot = h.Slot
		if ok && w == h {
			slots[key] = h.Slot
		} else {
			remove = append(remove, h)
		}
	}
	for key := range want {
		if _, ok := slots[key]; !ok {
			add = append(add, key)
		}
	}
	slices.SortFunc(add, store.PublishKey.Compare)
	return add, remove, slots
}

// strangers are the host-side links that look like ebnet's but belong to no
// attachment, and the devices that the datapath or a hook knows without reason.
func strangers(have observed, wanted map[string]bool, uplinks []uplink) (links []string, entries []uint32, hooked []int) {
	keep := map[int]bool{0: true}
	for _, u := range uplinks {
		keep[u.ifindex] = true
	}
	for name, link := range have.links {
		switch {
		case wanted[name]:
			keep[link.Index] = true
		case isHostInterface(name) && link.Kind == "veth":
			links = append(links, name)
		}
	}
	for ifindex := range have.endpoints {
		if !keep[int(ifindex)] {
			entries = append(entries, ifindex)
		}
	}
	for ifindex := range have.programs {
		if !keep[ifindex] {
			hooked = append(hooked, ifindex)
		}
	}
	slices.Sort(links)
	slices.Sort(entries)
	slices.Sort(hooked)
	return links, entries, hooked
}

// strayBridges are the bridges that look like ebnet's but belong to no network.
func strayBridges(links map[string]netdev.LinkInfo, wanted map[string]store.Network) []string {
	keep := map[string]bool{}
	for _, n := range wanted {
		keep[n.Bridge] = true
	}
	var out []string
	for name, link := range links {
		if isBridgeName(name) && link.Kind == "bridge" && !keep[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// uplink is a device by which the host reaches the outside.
type uplink struct {
	name    string
	ifindex int
	mtu     int // bytes
	addrs   []netip.Prefix
}

// planUplinks finds the uplinks: the named ones, or those that look like one.
func planUplinks(links map[string]netdev.LinkInfo, named []string, own func(string) bool) (found []uplink, missing []string) {
	var infos []netdev.LinkInfo
	if len(named) == 0 {
		for _, l := range links {
			infos = append(infos, l)
		}
		infos = netdev.FindUplinks(infos, own)
	}
	for _, name := range named {
		if l, ok := links[name]; ok {
			infos = append(infos, l)
		} else {
			missing = append(missing, name)
		}
	}
	for _, l := range infos {
		found = append(found, uplink{name: l.Name, ifindex: l.Index, mtu: l.MTU, addrs: globalAddrs(l.Addrs)})
	}
	slices.SortFunc(found, func(x, y uplink) int { return x.ifindex - y.ifindex })
	return slices.CompactFunc(found, func(x, y uplink) bool { return x.ifindex == y.ifindex }), missing
}

func globalAddrs(addrs []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(addrs), func(p netip.Prefix) bool { return !p.Addr().IsGlobalUnicast() })
}

// uplinkEntries are the uplinks as the datapath knows them, with their first
// address of each family for masquerade.
func uplinkEntries(uplinks []uplink) []datapath.Uplink {
	var out []datapath.Uplink
	for _, u := range uplinks {
		entry := datapath.Uplink{Ifindex: uint32(u.ifindex)}
		for _, p := range u.addrs {
			switch {
			case p.Addr().Is4() && !entry.Addr4.IsValid():
				entry.Addr4 = p.Addr()
			case p.Addr().Is6() && !entry.Addr6.IsValid():
				entry.Addr6 = p.Addr()
			}
		}
		out = append(out, entry)
	}
	return out
}

// hostAddrs are all addresses that the host answers to, beside loopback ones.
func hostAddrs(links map[string]netdev.LinkInfo, uplinks []uplink, bridges map[string]int) []datapath.HostAddr {
	byAddr := map[netip.Addr]datapath.HostAddr{}
	note := func(addr netip.Addr, l netdev.LinkInfo, broadcast bool) {
		if !addr.IsValid() || addr.IsLoopback() || addr.IsUnspecified() || addr.Is6() && addr.IsLinkLocalUnicast() {
			return // those of the link alone programs know by themselves
		}
		a := byAddr[addr]
		a.Addr = addr
		a.Broadcast = a.Broadcast || broadcast
		a.Uplink = a.Uplink || slices.ContainsFunc(uplinks, func(u uplink) bool { return u.ifindex == l.Index })
		for _, ifindex := range bridges {
			a.Gateway = a.Gateway || ifindex == l.Index
		}
		byAddr[addr] = a
	}
	for _, l := range links {
		for _, p := range l.Addrs {
			note(p.Addr(), l, false)
			note(broadcastOf(p), l, true)
		}
		for _, b := range l.Broadcasts {
			note(b, l, true)
		}
	}
	var out []datapath.HostAddr
	for _, a := range byAddr {
		out = append(out, a)
	}
	slices.SortFunc(out, func(x, y datapath.HostAddr) int { return x.Addr.Compare(y.Addr) })
	return out
}

// broadcastOf is the last address of an IPv4 subnet; invalid where there is none.
func broadcastOf(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return netip.Addr{}
	}
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// afterSlash is the side of a hook: "ingress" of "tcx/ingress".
func afterSlash(hook string) string {
	_, side, _ := strings.Cut(hook, "/")
	return side
}
