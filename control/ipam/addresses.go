package ipam

import (
	"net/netip"
	"slices"
)

// free says whether an address of the subnet may be given to somebody.
func (a *Allocator) free(addr netip.Addr) bool {
	_, taken := a.taken[addr]
	return !taken && addr != a.gateway && !a.isEdge(addr)
}

func (a *Allocator) take(addr netip.Addr) {
	a.taken[addr] = struct{}{}
	if i := slices.Index(a.resting, addr); i >= 0 {
		a.resting = slices.Delete(a.resting, i, i+1)
	}
}

// after returns the address behind addr, at the end of the range its first.
func (a *Allocator) after(addr netip.Addr) netip.Addr {
	if next := addr.Next(); a.rng.Contains(next) {
		return next
	}
	return a.rng.Addr()
}

// isEdge says whether an address names the subnet itself: the first one (in
// IPv6 the anycast address of its routers) and in IPv4 the last one, which is
// broadcast. A /31 or /127 has neither (RFC 3021, RFC 6164).
func (a *Allocator) isEdge(addr netip.Addr) bool {
	if a.subnet.Bits() == addr.BitLen()-1 {
		return false
	}
	if addr == a.subnet.Addr() {
		return true
	}
	return addr.Is4() && !a.subnet.Contains(addr.Next())
}
