package control

import (
	"errors"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// engineRules finds out whether the engine's own address translation is there. It
// changes how the datapath treats the engine's networks.
func (p *pass) engineRules() {
	if !p.hasForeign() {
		return
	}
	rules, err := p.dockerRules()
	if err != nil {
		p.fail("look for Docker's rules", err)
		return
	}
	if rules == p.live.rules {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.rules = rules
}

// hasForeign says whether there are networks of an engine's.
func (a *Agent) hasForeign() bool {
	for _, n := range a.want.networks {
		if foreign(n.Owner) {
			return true
		}
	}
	return false
}

// engineBridge is the ifindex of the bridge of an engine's network; 0: the engine has
// not made it yet.
func (p *pass) engineBridge(n store.Network) int {
	link := p.have.links[n.Bridge]
	if link.Kind != "bridge" {
		return 0
	}
	p.learnGateway(n, link)
	return link.Index
}

// learnGateway fills in the gateway of a network that its engine keeps to itself: it
// is the address of the bridge.
func (a *Agent) learnGateway(n store.Network, bridge netdev.LinkInfo) store.Network {
	learned := false
	n.Subnets = slices.Clone(n.Subnets)
	for i, s := range n.Subnets {
		at := slices.IndexFunc(bridge.Addrs, func(p netip.Prefix) bool { return s.Prefix.Contains(p.Addr()) })
		if !s.Gateway.IsValid() && at >= 0 {
			n.Subnets[i].Gateway, learned = bridge.Addrs[at].Addr(), true
		}
	}
	if learned {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.want.networks[n.Name] = n
		a.adopted.unsaved = true
	}
	return n
}

// guests takes in the containers of engines and sees off those that have gone.
func (p *pass) guests() {
	there := map[int]bool{}
	for _, link := range slices.SortedFunc(maps.Values(p.have.links), byIndex) {
		if n, ok := p.guestNetwork(link); ok {
			there[link.Index] = true
			p.guest(link, n)
		}
	}
	for ifindex := range p.adopted.guests {
		if there[ifindex] {
			continue
		}
		if err := p.seeOff(ifindex); err != nil {
			p.fail("forget a container that is gone", err)
		}
	}
	p.nameGuests()
}

func byIndex(a, b netdev.LinkInfo) int { return a.Index - b.Index }

// guest repairs what the kernel has of one container. One that is new is no repair.
func (p *pass) guest(link netdev.LinkInfo, n store.Network) {
	g, known := p.adopted.guests[link.Index]
	entry, entered := p.have.endpoints[uint32(link.Index)]
	slot := entry.Slot
	entry.Slot = 0
	lost := known && g.addrs.known() && entry != p.live.endpoints[link.Name].entry
	if entered {
		p.setLive(link.Name, liveEndpoint{network: n.Name, ifindex: link.Index, slot: slot, entry: entry})
		p.adopted.unnamed = true
	} else {
		p.forgetLive(link.Name)
	}
	if !known && entered { // by an agent before this one
		p.adopted.guests[link.Index] = guest{addrs: addrsOf(entry), number: entry.Sandbox}
	}
	if !hasProgram(p.have.programs[link.Index], "ingress") {
		lost = lost || known && p.hooked[link.Index]
		delete(p.hooked, link.Index)
	}
	err := p.takeIn(link, n)
	if errors.Is(err, unix.ENODEV) {
		return // it has gone meanwhile, of which the kernel tells
	}
	if err != nil {
		p.fail("serve "+link.Name+" on network "+n.Name, err)
		return
	}
	if lost {
		p.repaired("endpoint", link.Name)
	}
}

func (a *Agent) forgetLive(hostInterface string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.live.endpoints, hostInterface)
}

// keepGuests notes the links of engines that have programs for a reason.
func (p *pass) keepGuests(wanted map[string]bool) {
	for _, g := range p.adopted.guests {
		wanted[g.link.Name] = true
	}
}
