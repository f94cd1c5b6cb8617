package control

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/ipam"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// planSubnets decides on the addresses of a network: one subnet of each family that it is
// to have.
func (a *Agent) planSubnets(n store.Network, create api.NetworkCreate, links map[string]netdev.LinkInfo) ([]store.Subnet, error) {
	for _, f := range families {
		if f == ipv4 && create.NoIPv4 || f == ipv6 && !create.IPv6 {
			continue
		}
		s, err := a.planSubnet(f, n, create, links)
		if err != nil {
			return nil, err
		}
		n.Subnets = append(n.Subnets, s)
	}
	return n.Subnets, nil
}

// planSubnet decides on the addresses of a family: those asked for, or those
// that a bridge which is there already has, or free ones.
func (a *Agent) planSubnet(f family, n store.Network, create api.NetworkCreate, links map[string]netdev.LinkInfo) (store.Subnet, error) {
	s := store.Subnet{
		Prefix: f.firstPrefixOf(create.Subnets), Gateway: f.firstOf(create.Gateways), Range: f.firstPrefixOf(create.IPRanges),
	}
	bridge, there := links[n.Bridge]
	own := f.addrs(bridge) // none if the bridge is to be made
	switch {
	case s.Prefix.IsValid():
	case len(own) > 0:
		s.Prefix = ownSubnet(own, s)
	case s.Range.IsValid():
		return s, api.Errorf(api.CodeUnprocessable, "ip-range %s has no subnet to be in: give a subnet, too", s.Range)
	case s.Gateway.IsValid():
		return s, api.Errorf(api.CodeUnprocessable, "gateway %s has no subnet to be in: give a subnet, too", s.Gateway)
	default:
		free, err := a.freeSubnet(f)
		if err != nil {
			return s, err
		}
		s.Prefix = free
	}
	if err := ipam.CheckSubnet(s.Prefix); err != nil {
		return s, err
	}
	takeOver(&s, own)
	pool, err := openPool(s)
	if err != nil {
		return s, err
	}
	s.Gateway = pool.Gateway()
	if _, err := pool.Allocate(); err != nil { // it is only asked: the network gets another pool
		return s, noRoom(s)
	}
	s.AddsGateway = there && !slices.Contains(own, gatewayPrefix(s))
	n.Subnets = []store.Subnet{s}
	return s, a.checkOverlap(n, links)
}

// ownSubnet is that of a bridge's subnets which holds the range or the gateway that is
// asked for, else its first.
func ownSubnet(own []netip.Prefix, asked store.Subnet) netip.Prefix {
	for _, p := range own {
		if asked.Range.IsValid() && p.Contains(asked.Range.Addr()) || !asked.Range.IsValid() && p.Contains(asked.Gateway) {
			return p.Masked()
		}
	}
	return own[0].Masked()
}

// noRoom says of a subnet that it could never give out an address.
func noRoom(s store.Subnet) error {
	part := fmt.Sprint("subnet ", s.Prefix)
	if s.Range.IsValid() {
		part = fmt.Sprint("ip-range ", s.Range)
	}
	return api.Errorf(api.CodeUnprocessable, "%s has no address to give out: the gateway, the bridge and the subnet itself need all of it", part)
}

// takeOver makes an address that a bridge has in the subnet the gateway, if none
// is asked for, and keeps its other ones from being given out.
func takeOver(s *store.Subnet, own []netip.Prefix) {
	for _, p := range own {
		switch {
		case !s.Prefix.Contains(p.Addr()) || p.Addr() == s.Gateway:
		case !s.Gateway.IsValid():
			s.Gateway = p.Addr()
		default:
			s.Reserved = append(s.Reserved, p.Addr())
		}
	}
}

// addrs are a link's addresses of a family that others on it can reach.
func (f family) addrs(l netdev.LinkInfo) []netip.Prefix {
	return slices.DeleteFunc(globalAddrs(l.Addrs), func(p netip.Prefix) bool { return !f.hasAddr(p) })
}

// checkOverlap refuses a network's one subnet that leads somewhere else already.
func (a *Agent) checkOverlap(n store.Network, links map[string]netdev.LinkInfo) error {
	subnet := n.Subnets[0].Prefix
	for _, other := range a.want.networkList() {
		for _, s := range other.Subnets {
			if s.Prefix.Overlaps(subnet) {
				return api.Errorf(api.CodeConflict, "subnet %s overlaps network %s (%s)", subnet, other.Name, s.Prefix)
			}
		}
	}
	routes, err := a.links.Routes()
	if err != nil {
		return err
	}
	if found := overlaps(routes, links, n); len(found) > 0 {
		return api.Errorf(api.CodeConflict, "subnet %s overlaps %s, to which the host has an address or a route", subnet, found[0])
	}
	return nil
}

// freeSubnet chooses a subnet that nothing on the host overlaps.
func (a *Agent) freeSubnet(f family) (netip.Prefix, error) {
	used, err := a.usedPrefixes()
	if err != nil {
		return netip.Prefix{}, err
	}
	if f == ipv6 {
		subnet, err := ipam.ChooseULA(a.random, used)
		if err != nil {
			err = fmt.Errorf("choose IPv6 subnet: %w: an address or a route of the host, or a network, overlaps all of fd00::/8", err)
		}
		return subnet, err
	}
	subnet, err := ipam.ChooseSubnet(a.random, ipam.DefaultPools(), used)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("choose subnet: %w: every private subnet of Docker's pools overlaps an address or a route of the host, or a network", err)
	}
	return subnet, nil
}

// usedPrefixes is what a new subnet must keep clear of.
func (a *Agent) usedPrefixes() ([]netip.Prefix, error) {
	routes, err := a.links.Routes()
	if err != nil {
		return nil, err
	}
	used := netdev.Destinations(routes)
	links, err := a.links.Links()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.Name == defaultBridge {
			continue // ours, from before the store was deleted
		}
		used = append(used, l.Addrs...)
	}
	for _, n := range a.want.networks {
		for _, s := range n.Subnets {
			used = append(used, s.Prefix)
		}
	}
	return used, nil
}
