package control

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// misnamed is a device of ebnet's that somebody has given another name.
type misnamed struct {
	link netdev.LinkInfo
	name string // that it should have
	of   string // whose it is, for the log
}

// names gives devices of ebnet's their names back, before anything is made or removed
// by its name: the connections by them live on.
func (p *pass) names() {
	lost := append(p.misnamedLinks(), p.misnamedBridges()...)
	if len(lost) == 0 {
		return
	}
	for _, m := range lost {
		if err := p.freeName(m, lost); err != nil {
			p.fail("free the name "+m.name, err)
		}
	}
	for _, m := range lost {
		err := p.links.RenameLink(m.link.Index, m.name)
		if err != nil {
			p.log.Warn("link not renamed", "link", m.link.Name, "to", m.name, "error", err)
			err = p.dropMisnamed(m)
		}
		if err != nil {
			p.fail("rename link "+m.link.Name+" to "+m.name, err)
			continue
		}
		p.repaired("name", m.of+": "+m.name)
	}
	if err := p.observeLinks(); err != nil {
		p.fail("read the kernel's state", err)
	}
}

// misnamedLinks are the host's sides of sandboxes' links under other names.
func (p *pass) misnamedLinks() []misnamed {
	var out []misnamed
	for _, sb := range p.want.sandboxList() {
		if foreign(sb.Owner) {
			continue
		}
		for _, at := range bridged(sb) {
			index := p.live.endpoints[at.HostInterface].ifindex
			if at := p.have.links[at.HostInterface]; at.Index != 0 && (index == 0 || at.Index == index) {
				continue
			}
			if link, ok := p.findLink(sb, at, index); ok {
				out = append(out, misnamed{link, at.HostInterface, "sandbox " + sb.Name})
			}
		}
	}
	return out
}

// findLink finds an attachment's link by all but its name: by the ifindex that is
// known, or, of an agent that has just begun, by its entry in the datapath or its MAC
// address.
func (p *pass) findLink(sb store.Sandbox, at store.Attachment, ifindex int) (netdev.LinkInfo, bool) {
	mac, err := net.ParseMAC(at.HostMAC)
	for _, l := range p.have.links {
		if l.Kind != "veth" || l.Name == at.HostInterface {
			continue
		}
		entry, entered := p.have.endpoints[uint32(l.Index)]
		entry.Slot = 0
		if l.Index == ifindex || entered && entry == p.endpointEntry(sb, at, l.Index) || err == nil && bytes.Equal(l.MAC, mac) {
			return l, true
		}
	}
	return netdev.LinkInfo{}, false
}

// misnamedBridges are bridges of ebnet's own under other names.
func (p *pass) misnamedBridges() []misnamed {
	var out []misnamed
	for _, n := range p.want.networkList() {
		if _, there := p.have.links[n.Bridge]; there || !n.OwnsBridge {
			continue
		}
		for _, l := range p.have.links {
			if l.Kind == "bridge" && (l.Index == int(p.have.networks[n.Index].Bridge) || l.MAC.String() == n.BridgeMAC) {
				out = append(out, misnamed{l, n.Bridge, "network " + n.Name})
				break
			}
		}
	}
	return out
}

// freeName takes a name from a device that has it wrongly: one that is misnamed itself
// goes by another until it gets its own, any other looks like ebnet's and is none.
func (p *pass) freeName(m misnamed, all []misnamed) error {
	holder, taken := p.have.links[m.name]
	if !taken {
		return nil
	}
	for _, other := range all {
		if other.link.Index == holder.Index {
			return p.links.RenameLink(holder.Index, fmt.Sprint("ebnet", holder.Index))
		}
	}
	return p.links.DeleteLink(m.name)
}

// dropMisnamed removes a sandbox's link that cannot get its name back, for another to
// be made in its place; its program goes with the leftovers. A bridge stays.
func (p *pass) dropMisnamed(m misnamed) error {
	if m.link.Kind != "veth" {
		return errors.New("see the agent's log")
	}
	if err := p.fwd.DeleteEndpoint(uint32(m.link.Index)); err != nil {
		return err
	}
	return p.links.DeleteLink(m.link.Name)
}
