package control

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// routes tells of routes that lead into a network's subnet: they or the network
// cannot be reached. It tells of addresses that are both the host's and a sandbox's,
// too: the host then means itself by them.
func (p *pass) routes() {
	p.addressesTwice()
	routes, err := p.links.Routes()
	if err != nil {
		p.fail("read routes", err)
		return
	}
	for _, n := range p.want.networkList() {
		for _, r := range overlaps(routes, p.have.links, n) {
			p.problem(fmt.Sprintf("%s, which the host has elsewhere, overlaps network %s (%s)", r, n.Name, n.Subnets[0].Prefix))
		}
	}
}

func (p *pass) addressesTwice() {
	holders := map[netip.Addr][]string{}
	for name, l := range p.have.links {
		for _, a := range l.Addrs {
			holders[a.Addr()] = append(holders[a.Addr()], name)
		}
	}
	for _, sb := range p.want.sandboxList() {
		for _, at := range sb.Attachments {
			for _, a := range at.Addresses {
				for _, dev := range holders[a.Addr()] {
					p.problem(fmt.Sprintf("address %s of sandbox %s on network %s is the host's, too: remove it from %s, or connect the sandbox with another",
						a.Addr(), sb.Name, at.Network, dev))
				}
			}
		}
	}
}

// overlaps are the prefixes that others use and that lead somewhere into a
// network's subnets: routes beside those of its bridge, addresses of other devices.
func overlaps(routes []netip.Prefix, links map[string]netdev.LinkInfo, n store.Network) []netip.Prefix {
	var out []netip.Prefix
	own := links[n.Bridge].Addrs
	for _, r := range routes {
		ours := slices.ContainsFunc(own, func(p netip.Prefix) bool {
			return r == p.Masked() || r.IsSingleIP() && r.Addr() == p.Addr()
		})
		if !ours {
			out = append(out, r)
		}
	}
	for name, l := range links {
		if name != n.Bridge {
			for _, p := range l.Addrs {
				out = append(out, p.Masked())
			}
		}
	}
	out = slices.DeleteFunc(out, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(n.Subnets, func(s store.Subnet) bool { return p.Overlaps(s.Prefix) })
	})
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
