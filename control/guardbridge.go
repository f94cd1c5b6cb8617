package control

import (
	"slices"

	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/loader"
)

// guardBridge puts programs on a network's bridge that keep the host from forwarding
// what a container without a program of its own sends, and what comes for a container
// by a device that is no uplink.
func (a *Agent) guardBridge(n store.Network, bridge int) error {
	if a.hooked[bridge] || !a.guarded(n, bridge) {
		return nil
	}
	return a.hook(a.programs.AttachBridge, bridge)
}

// guarded says whether a network's bridge is to have the programs. One by which the
// host reaches the outside has those of an uplink. What others do by a bridge that was
// there before the network is their own, and an engine's own rules do the same.
func (a *Agent) guarded(n store.Network, bridge int) bool {
	if bridge == 0 || slices.ContainsFunc(a.live.uplinks, func(u uplink) bool { return u.ifindex == bridge }) {
		return false
	}
	if foreign(n.Owner) {
		return !a.live.rules
	}
	return n.OwnsBridge
}

// guardBridges puts the programs on the bridges of all networks.
func (p *pass) guardBridges() {
	for _, n := range p.want.networkList() {
		bridge := p.live.bridges[n.Name]
		if !p.guarded(n, bridge) || isGuarded(p.have.programs[bridge]) {
			continue
		}
		lost := p.hooked[bridge]
		delete(p.hooked, bridge)
		if err := p.guardBridge(n, bridge); err != nil {
			p.fail("attach to bridge "+n.Bridge, err)
			continue
		}
		if lost {
			p.repaired("bridge", n.Bridge)
		}
	}
}

// isGuarded says whether a bridge has all of its programs, and not those of an uplink.
func isGuarded(attached []loader.Attachment) bool {
	ours := slices.DeleteFunc(slices.Clone(attached), func(at loader.Attachment) bool { return !at.OnBridge() })
	return hasProgram(ours, "ingress") && hasProgram(ours, "egress")
}

// keepGuards notes the bridges that have programs for a reason.
func (p *pass) keepGuards(wanted map[string]bool) {
	for _, n := range p.want.networks {
		if p.guarded(n, p.live.bridges[n.Name]) {
			wanted[n.Bridge] = true
		}
	}
}
