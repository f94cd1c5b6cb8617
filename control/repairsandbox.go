package control

import (
	"errors"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// sandboxes makes and repairs the sandboxes that are wanted.
func (p *pass) sandboxes() {
	known := map[string]bool{}
	for _, sb := range p.want.sandboxList() {
		for _, at := range bridged(sb) {
			known[at.HostInterface] = true
		}
		if onHost(sb) {
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
	changed, err := p.writeResolvConf(name, sb.DNS)
	if err != nil {
		return err
	}
	if changed {
		p.repaired("resolver", sb.Name)
	}
	ats := bridged(sb)
	if len(ats) == 0 {
		return p.loopback(sb, name)
	}
	var errs []error
	for _, at := range ats {
		errs = append(errs, p.endpoint(sb, at))
	}
	return errors.Join(errs...)
}

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

// endpoint repairs one attachment, or makes it anew.
func (p *pass) endpoint(sb store.Sandbox, at store.Attachment) error {
	name := netnsName(sb)
	link := p.have.links[at.HostInterface]
	entry := p.endpointEntry(at, link.Index)
	need := endpointNeeds(p.have, name, at.HostInterface, entry, p.live.bridges[at.Network])
	if !need.entry {
		slot := p.have.endpoints[uint32(link.Index)].Slot
		p.setLive(at.HostInterface, liveEndpoint{sandbox: sb.Name, network: at.Network, ifindex: link.Index, slot: slot})
	}
	if need.none() && !p.first {
		return nil
	}
	veth, err := p.veth(sb, at)
	if err != nil {
		return err
	}
	if need.netns {
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
	// An agent that died may have left a sandbox half configured, so the first
	// look goes inside; it changes nothing where all is well.
	if err := p.links.UpVeth(veth); err != nil {
		return err
	}
	if !need.none() {
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
