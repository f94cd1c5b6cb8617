package control

import (
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/store"
)

// family is one of the two kinds of IP addresses. What is decided for one is decided for
// the other by the same code.
type family uint8

const (
	ipv4 family = 4
	ipv6 family = 6
)

// families are both, in the order in which people read them.
var families = [...]family{ipv4, ipv6}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

func (f family) String() string { return map[family]string{ipv4: "IPv4", ipv6: "IPv6"}[f] }

// all is the address that stands for all of the host's addresses of the family.
func (f family) all() netip.Addr {
	if f == ipv4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// hasAddr says whether a prefix is of the family.
func (f family) hasAddr(p netip.Prefix) bool { return p.IsValid() && familyOf(p.Addr()) == f }

// firstOf is the first of some addresses that is of the family; invalid: none is.
func (f family) firstOf(addrs []netip.Addr) netip.Addr {
	for _, a := range addrs {
		if a.IsValid() && familyOf(a) == f {
			return a
		}
	}
	return netip.Addr{}
}

// firstPrefixOf is firstOf for prefixes.
func (f family) firstPrefixOf(prefixes []netip.Prefix) netip.Prefix {
	if i := slices.IndexFunc(prefixes, f.hasAddr); i >= 0 {
		return prefixes[i]
	}
	return netip.Prefix{}
}

// addrOf is the address that an attachment has of the family.
func (f family) addrOf(at store.Attachment) (netip.Addr, bool) {
	p := f.firstPrefixOf(at.Addresses)
	return p.Addr(), p.IsValid()
}

// familiesOf are those that a sandbox has addresses of.
func familiesOf(sb store.Sandbox) []family {
	var out []family
	for _, f := range families {
		if f.firstPrefixOf(addresses(sb)).IsValid() {
			out = append(out, f)
		}
	}
	return out
}

// addable are those of some addresses that devices can have: all but IPv6's, where the
// host's IPv6 is off.
func (l live) addable(prefixes []netip.Prefix) []netip.Prefix {
	if l.noIPv6 == nil {
		return prefixes
	}
	return slices.DeleteFunc(slices.Clone(prefixes), ipv6.hasAddr)
}

// servedBy says whether a network has addresses of the family.
func (f family) servedBy(n store.Network) bool {
	return slices.ContainsFunc(n.Subnets, func(s store.Subnet) bool { return f.hasAddr(s.Prefix) })
}
