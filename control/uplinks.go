package control

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ebnet/ebnet/control/netdev"
)

// uplinks finds the devices by which the host reaches the outside.
func (p *pass) uplinks() error {
	way, _, err := p.links.DefaultUplink(slices.Collect(maps.Values(p.have.links)))
	own := func(name string) bool { return p.isOwn(name, way) }
	uplinks, missing := planUplinks(p.have.links, p.opt.Uplinks, own)
	for _, name := range missing {
		p.problem(fmt.Sprintf("uplink %s is not there", name))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live.uplinks, p.live.mtu = uplinks, uplinkMTU(uplinks, way, p.live.mtu)
	return err
}

// isOwn says whether a link is one of ebnet's; way is the host's way out, which a
// bridge can be that was there before ebnet.
func (p *pass) isOwn(name string, way int) bool {
	if name == fibLink || name == fibLink+"p" || isHostInterface(name) {
		return true
	}
	for _, n := range p.want.networks {
		if n.Bridge == name {
			return n.OwnsBridge || p.have.links[name].Index != way
		}
	}
	return false
}

// uplinkMTU is the MTU of the uplink with the default route, in bytes. While there
// is none it stays what it was; at first it is the smallest of all.
func uplinkMTU(uplinks []uplink, way, last int) int {
	smallest := 0
	for _, u := range uplinks {
		if u.ifindex == way {
			return u.mtu
		}
		if smallest == 0 || u.mtu < smallest {
			smallest = u.mtu
		}
	}
	if last != 0 {
		return last
	}
	return smallest
}

// syncHostAddrs tells the datapath of the host's addresses as they are now.
func (a *Agent) syncHostAddrs() error {
	links, err := a.linksByName()
	if err != nil {
		return err
	}
	return a.setHostAddrs(links)
}

func (a *Agent) setHostAddrs(links map[string]netdev.LinkInfo) error {
	addrs := hostAddrs(links, a.live.uplinks, a.live.bridges)
	if err := a.fwd.SetHostAddrs(addrs); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.live.addrs)
	for _, addr := range addrs {
		if !addr.Broadcast {
			a.live.addrs[addr.Addr] = true
		}
	}
	return nil
}
