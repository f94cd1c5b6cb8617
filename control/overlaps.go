package control

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// routes tells of routes that lead into a network's subnet: they or the network
// cannot be reached. It tells of addresses that are both the host's and a sandbox's,
// too: the host then means itself by them.
func (p *pass) routes() {
	p.addressesTwice()
	for _, n := range p.want.networkList() {
		for _, r := range overlaps(p.have.routes, p.have.links, n) {
			p.problem(fmt.Sprintf("%s, which the host has elsewhere, overlaps network %s (%s)", r, n.Name, joinPrefixes(subnets(n))))
		}
		p.bridgeRoutes(n)
	}
}

// bridgeRoutes tells of routes that are missing on a bridge which others look after.
func (p *pass) bridgeRoutes(n store.Network) {
	bridge, err := p.bridge(n)
	if err != nil || n.OwnsBridge || n.Driver != api.DriverBridge {
		return
	}
	for _, addr := range unrouted(p.have, bridge) {
		p.problem(fmt.Sprintf("network %s: the routes to %s by %s are gone: take %s off it and add it again", n.Name, addr.Masked(), n.Bridge, addr))
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
func overlaps(routes []netdev.Route, links map[string]netdev.LinkInfo, n store.Network) []netip.Prefix {
	var out []netip.Prefix
	bridge := links[n.Bridge]
	for _, r := range routes {
		ours := r.Device == bridge.Index && !r.Gateway.IsValid() && slices.ContainsFunc(bridge.Addrs, func(p netip.Prefix) bool {
			return r.Dst == p.Masked() || r.Dst.IsSingleIP() && r.Dst.Addr() == p.Addr()
		})
		if !ours {
			out = append(out, r.Dst)
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
