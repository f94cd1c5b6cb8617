package control

import (
	"fmt"
	"slices"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// bridges makes the networks' bridges and tells the datapath of them.
func (p *pass) bridges() {
	p.checkIPv6()
	// The uplinks come first, for their MTU.
	if err := p.uplinks(); err != nil {
		p.fail("find the uplinks", err)
	}
	index := map[string]int{}
	wanted := map[uint16]bool{}
	for _, n := range p.want.networkList() {
		if n.Driver != api.DriverBridge {
			continue
		}
		wanted[n.Index] = true
		ifindex, err := p.bridgeOf(n)
		if err != nil {
			p.fail("repair network "+n.Name, err)
			continue
		}
		if ifindex == 0 {
			continue
		}
		index[n.Name] = ifindex
		entry := p.networkEntry(p.want.networks[n.Name], ifindex)
		if p.have.networks[n.Index] == entry {
			continue
		}
		if err := p.fwd.PutNetwork(entry); err != nil {
			p.fail("repair network "+n.Name, err)
			continue
		}
		p.repaired("network", n.Name)
	}
	for i := range p.have.networks {
		if wanted[i] {
			continue
		}
		if err := p.fwd.DeleteNetwork(i); err != nil {
			p.fail("delete a network that is gone", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.bridges = index
}

// checkIPv6 finds out whether networks can have their IPv6 addresses. Where they cannot
// their IPv4 is served all the same.
func (p *pass) checkIPv6() {
	off := p.links.CheckIPv6()
	p.mu.Lock()
	p.live.noIPv6 = off
	p.mu.Unlock()
	for _, n := range p.want.networkList() {
		if off != nil && ipv6.servedBy(n) && !foreign(n.Owner) {
			p.problem(fmt.Sprintf("network %s is without its IPv6: %v", n.Name, off))
		}
	}
}

// bridgeOf is the ifindex of a network's bridge, which it makes or repairs unless it
// is an engine's: then it is 0 until the engine has made it.
func (p *pass) bridgeOf(n store.Network) (int, error) {
	if foreign(n.Owner) {
		return p.engineBridge(n), nil
	}
	bridge, err := p.bridge(n)
	if err != nil {
		return 0, err
	}
	wrong := bridgeNeeds(p.have, bridge)
	if !p.first && !wrong && fits(p.have, bridge) {
		return p.have.links[n.Bridge].Index, nil
	}
	ifindex, _, err := p.links.EnsureBridge(bridge)
	if err != nil {
		return 0, err
	}
	if wrong {
		p.repaired("bridge", n.Bridge)
	}
	return ifindex, p.observeLinks()
}

// host tells the datapath of the host's own devices and addresses, and puts the
// programs on its uplinks and sockets. The tables come before the programs.
func (p *pass) host() {
	pins, err := p.programs.Repin()
	if err != nil {
		p.fail("restore pins", err)
	}
	for _, name := range pins {
		p.repaired("pin", name)
	}
	if err := p.settings(); err != nil {
		p.fail("write settings", err)
	}
	if err := p.setHostAddrs(p.have.links); err != nil {
		p.fail("write the host's addresses", err)
	}
	if err := p.fwd.SetUplinks(uplinkEntries(p.live.uplinks)); err != nil {
		p.fail("write uplinks", err)
	}
	if len(p.live.uplinks) == 0 {
		p.problem("there is no uplink: no device has a global address")
	}
	for _, u := range p.live.uplinks {
		at := p.have.programs[u.ifindex]
		if !p.first && hasProgram(at, "ingress") && hasProgram(at, "egress") {
			continue
		}
		if err := p.hook(p.programs.AttachUplink, u.ifindex); err != nil {
			p.fail("attach to uplink "+u.name, err)
			continue
		}
		p.repaired("uplink", u.name)
	}
	if !p.first && len(p.have.programs[0]) > 0 && len(p.have.programs[0]) == p.live.sockets {
		return
	}
	if err := p.sockets(); err != nil {
		p.fail("attach to the host's sockets", err)
	}
}

// settings writes what programs read while they run.
func (p *pass) settings() error {
	fib, err := p.links.EnsureFIBLink(fibLink)
	if err != nil {
		return err
	}
	if fib == p.live.fib {
		return nil
	}
	settings := datapath.DefaultSettings()
	settings.FIBIfindex, settings.FIBMAC = uint32(fib.Index), fib.MAC
	if err := p.fwd.SetSettings(settings); err != nil {
		return err
	}
	p.repaired("settings", fibLink)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.fib = fib
	return nil
}

// sockets attaches the socket programs and remembers how many there are.
func (p *pass) sockets() error {
	if err := p.programs.AttachSockets(); err != nil {
		return err
	}
	attached, err := p.programs.Attached()
	if err != nil {
		return err
	}
	n := 0
	for _, at := range attached {
		if at.Ifindex == 0 {
			n++
		}
	}
	p.repaired("sockets", "cgroup")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.sockets = n
	return nil
}

// leftovers removes what nothing wants: entries before links, so that flows die
// before their way does, and hooks last.
func (p *pass) leftovers() {
	wanted := map[string]bool{}
	for _, sb := range p.want.sandboxes {
		for _, at := range bridged(sb) {
			wanted[at.HostInterface] = true
		}
	}
	p.keepGuests(wanted)
	p.keepGuards(wanted)
	links, entries, hooked := strangers(p.have, wanted, p.live.uplinks)
	// Those that have come by the lane are known a moment later.
	entries = slices.DeleteFunc(entries, func(ifindex uint32) bool { return p.arriving(int(ifindex)) })
	hooked = slices.DeleteFunc(append(hooked, p.lost()...), p.arriving)
	for _, ifindex := range entries {
		if err := p.fwd.DeleteEndpoint(ifindex); err != nil {
			p.fail("delete an endpoint that is gone", err)
		}
	}
	links = append(links, strayBridges(p.have.links, p.want.networks)...)
	for _, name := range links {
		if err := p.links.DeleteLink(name); err != nil {
			p.fail("delete link "+name, err)
			continue
		}
		p.repaired("leftover", name)
	}
	for _, ifindex := range hooked {
		if err := p.unhook(ifindex); err != nil {
			p.fail(fmt.Sprintf("detach from device %d", ifindex), err)
		}
	}
}

// lost are the devices that had a program and are gone; their pins are left.
func (p *pass) lost() []int {
	there := map[int]bool{}
	for _, l := range p.have.links {
		there[l.Index] = true
	}
	var gone []int
	for ifindex := range p.hooked {
		if !there[ifindex] {
			gone = append(gone, ifindex)
		}
	}
	return gone
}
