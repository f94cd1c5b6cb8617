package control

import (
	"errors"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// sandboxes makes and repairs the sandboxes that are wanted.
func (p *pass) sandboxes() {
	known := map[string]bool{}
	p.keepGuests(known)
	for _, sb := range p.want.sandboxList() {
		for _, at := range bridged(sb) {
			known[at.HostInterface] = true
		}
		if onHost(sb) {
			continue
		}
		if foreign(sb.Owner) {
			if p.unsure[sb.Name] {
				p.followAgain(sb)
			}
			continue
		}
		if err := p.sandbox(sb); err != nil {
			p.fail("repair sandbox "+sb.Name, err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.live.endpoints {
		if !known[name] {
			delete(p.live.endpoints, name)
		}
	}
}

// sandbox repairs one sandbox, in the order in which it is made.
func (p *pass) sandbox(sb store.Sandbox) error {
	name := netnsName(sb)
	changed, err := p.writeResolvConf(sb)
	if err != nil {
		return err
	}
	if changed {
		p.repaired("resolver", sb.Name)
	}
	ats := bridged(sb)
	var errs []error
	if len(ats) == 0 {
		errs = append(errs, p.loopback(sb, name))
	}
	// A namespace that is gone takes all links with it, so what is missing is
	// found out before the first is made again.
	missing := make([]needs, len(ats))
	for i, at := range ats {
		var err error
		if missing[i], err = p.missing(sb, at); err != nil {
			return err
		}
	}
	for i, at := range ats {
		errs = append(errs, p.endpoint(sb, at, missing[i]))
	}
	if p.looksInto(sb) {
		errs = append(errs, p.links.PruneRules(sb.Netns, tables(sb)...))
	}
	err = errors.Join(errs...)
	if err == nil {
		delete(p.unsure, sb.Name)
	}
	return err
}

// looksInto says whether a sandbox's inside may be wrong although nothing on the
// host's side is: an agent that died may have left it half configured.
func (p *pass) looksInto(sb store.Sandbox) bool { return p.first || p.unsure[sb.Name] }

// loopback repairs a sandbox that has nothing but lo.
func (p *pass) loopback(sb store.Sandbox, name string) error {
	if p.have.netns[name] && !p.first {
		return nil
	}
	if !p.have.netns[name] {
		if err := p.replaceNetns(name); err != nil {
			return err
		}
		p.repaired("namespace", sb.Name)
	}
	return p.links.UpLoopback(sb.Netns)
}

// missing compares one attachment with the kernel, and notes it if it is known there.
func (p *pass) missing(sb store.Sandbox, at store.Attachment) (needs, error) {
	veth, err := p.veth(sb, at)
	if err != nil {
		return needs{}, err
	}
	link := p.have.links[at.HostInterface]
	entry := p.endpointEntry(sb, at, link.Index)
	need := endpointNeeds(p.have, netnsName(sb), veth, entry, p.live.bridges[at.Network])
	if !need.entry {
		slot := p.have.endpoints[uint32(link.Index)].Slot
		p.setLive(at.HostInterface, liveEndpoint{sandbox: sb.Name, network: at.Network, ifindex: link.Index, slot: slot})
	}
	return need, nil
}

// endpoint repairs one attachment, or makes it anew.
func (p *pass) endpoint(sb store.Sandbox, at store.Attachment, need needs) error {
	if need.none() && !p.looksInto(sb) {
		return nil
	}
	veth, err := p.veth(sb, at)
	if err != nil {
		return err
	}
	name := netnsName(sb)
	link := p.have.links[at.HostInterface]
	if !p.have.netns[name] {
		if err := p.replaceNetns(name); err != nil {
			return err
		}
	}
	ifindex := link.Index
	if need.veth {
		if ifindex, err = p.replaceVeth(veth); err != nil {
			return err
		}
	}
	if need.program {
		if err := p.hook(p.programs.AttachContainer, ifindex); err != nil {
			return err
		}
	}
	if need.entry {
		if err := p.putEndpoint(sb, at, ifindex); err != nil {
			return err
		}
	}
	if err := p.links.UpVeth(veth); err != nil { // changes nothing where all is well
		return err
	}
	if need != (needs{mtu: need.mtu}) { // another MTU is a change, not a repair
		p.repaired("sandbox", sb.Name+": "+need.String())
	}
	return nil
}

// replaceNetns makes a namespace that is gone.
func (p *pass) replaceNetns(name string) error {
	if _, err := p.links.CreateNetns(name); err != nil {
		return err
	}
	p.have.netns[name] = true
	return nil
}

// replaceVeth makes a link that is gone, or that leads into a namespace which has
// lost its name and lives only as long as some process keeps it.
func (p *pass) replaceVeth(veth netdev.Veth) (int, error) {
	if old, ok := p.have.links[veth.Host]; ok {
		if err := p.fwd.DeleteEndpoint(uint32(old.Index)); err != nil {
			return 0, err
		}
		if err := p.links.DeleteLink(veth.Host); err != nil {
			return 0, err
		}
		if err := p.unhook(old.Index); err != nil {
			return 0, err
		}
	}
	return p.links.CreateVeth(veth)
}
