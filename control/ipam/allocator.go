package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// Config describes how the addresses of a subnet are to be given out.
type Config struct {
	Subnet  netip.Prefix // IPv4 up to /31, IPv6 up to /127
	Gateway netip.Addr   // zero value: the first usable address
	Range   netip.Prefix // Allocate keeps to it; zero value: the whole subnet
}

// restLimit is how many freed addresses an Allocator remembers, to pass over
// them for as long as it has others.
const restLimit = 1024

// Allocator gives out the addresses of one subnet. It needs memory for what is
// taken, not for what there is.
//
// A freed address is reused as late as possible, so that what others remember
// of its last holder (neighbour tables, DNS, connections) has time to go: the
// search goes on behind the last address given out, and the last freed ones
// come only when there is nothing else, the longest freed first.
type Allocator struct {
	subnet  netip.Prefix
	rng     netip.Prefix
	gateway netip.Addr
	cursor  netip.Addr // where the next search begins; in rng
	taken   map[netip.Addr]struct{}
	resting []netip.Addr // freed and not taken since, longest freed first
}

// New returns an Allocator with nothing taken.
// It wraps ErrSubnet, ErrOutside (range or gateway) or ErrReserved (gateway).
func New(c Config) (*Allocator, error) {
	if !c.Subnet.IsValid() || c.Subnet.Addr().Is4In6() {
		return nil, fmt.Errorf("subnet %s: %w", c.Subnet, ErrSubnet)
	}
	if c.Subnet != c.Subnet.Masked() {
		return nil, fmt.Errorf("subnet %s: %w: has host bits set, %s is meant", c.Subnet, ErrSubnet, c.Subnet.Masked())
	}
	if c.Subnet.IsSingleIP() {
		return nil, fmt.Errorf("subnet %s: %w: no address left beside the gateway", c.Subnet, ErrSubnet)
	}
	a := &Allocator{subnet: c.Subnet, rng: c.Subnet, gateway: c.Gateway, taken: map[netip.Addr]struct{}{}}
	if c.Range != (netip.Prefix{}) {
		a.rng = c.Range.Masked()
		if !a.rng.IsValid() || a.rng.Bits() < a.subnet.Bits() || !a.subnet.Contains(a.rng.Addr()) {
			return nil, fmt.Errorf("range %s of %s: %w", c.Range, a.subnet, ErrOutside)
		}
	}
	if !a.gateway.IsValid() {
		a.gateway = a.subnet.Addr()
		if a.isEdge(a.gateway) {
			a.gateway = a.gateway.Next()
		}
	}
	if !a.subnet.Contains(a.gateway) {
		return nil, fmt.Errorf("gateway %s of %s: %w", a.gateway, a.subnet, ErrOutside)
	}
	if a.isEdge(a.gateway) {
		return nil, fmt.Errorf("gateway %s of %s: %w: network or broadcast address", a.gateway, a.subnet, ErrReserved)
	}
	a.cursor = a.rng.Addr()
	return a, nil
}

// Subnet is the subnet whose addresses are given out.
func (a *Allocator) Subnet() netip.Prefix { return a.subnet }

// Range is the part of it that Allocate keeps to.
func (a *Allocator) Range() netip.Prefix { return a.rng }

// Gateway is the address that is kept for the host's side.
func (a *Allocator) Gateway() netip.Addr { return a.gateway }

// Taken is how many addresses are held, without the gateway.
func (a *Allocator) Taken() int { return len(a.taken) }

// Cursor is where the next search begins.
func (a *Allocator) Cursor() netip.Addr { return a.cursor }

// SetCursor continues where an earlier Allocator of the subnet stopped. The
// zero Addr means the beginning; ErrOutside if the address is not in the range.
func (a *Allocator) SetCursor(addr netip.Addr) error {
	if !addr.IsValid() {
		addr = a.rng.Addr()
	}
	if !a.rng.Contains(addr) {
		return fmt.Errorf("continue at %s in %s: %w", addr, a.rng, ErrOutside)
	}
	a.cursor = addr
	return nil
}

// Allocate takes a free address of the range, none of those that others have at the
// moment, or returns ErrFull.
func (a *Allocator) Allocate(others ...netip.Addr) (netip.Addr, error) {
	// Among this many different addresses one is free, if the range has so many.
	tries := len(a.taken) + len(a.resting) + len(others) + 4
	for addr := a.cursor; tries > 0; tries-- {
		next := a.after(addr)
		if a.free(addr) && !slices.Contains(others, addr) && !slices.Contains(a.resting, addr) {
			a.taken[addr] = struct{}{}
			a.cursor = next
			return addr, nil
		}
		if addr = next; addr == a.cursor {
			break
		}
	}
	for _, addr := range a.resting {
		if a.rng.Contains(addr) && !slices.Contains(others, addr) {
			a.take(addr)
			a.cursor = a.after(addr)
			return addr, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("allocate address in %s: %w", a.rng, ErrFull)
}

// Reserve takes the given address, inside or outside of the range.
// It wraps ErrTaken, ErrOutside or ErrReserved.
func (a *Allocator) Reserve(addr netip.Addr) error {
	switch {
	case !a.subnet.Contains(addr):
		return fmt.Errorf("reserve %s in %s: %w", addr, a.subnet, ErrOutside)
	case addr == a.gateway:
		return fmt.Errorf("reserve %s in %s: %w: gateway", addr, a.subnet, ErrReserved)
	case a.isEdge(addr):
		return fmt.Errorf("reserve %s in %s: %w: network or broadcast address", addr, a.subnet, ErrReserved)
	case !a.free(addr):
		return fmt.Errorf("reserve %s in %s: %w", addr, a.subnet, ErrTaken)
	}
	a.take(addr)
	return nil
}

// Release gives an address back; one that nobody holds is no error.
func (a *Allocator) Release(addr netip.Addr) {
	if _, held := a.taken[addr]; !held {
		return
	}
	delete(a.taken, addr)
	if len(a.resting) == restLimit {
		a.resting = slices.Delete(a.resting, 0, 1)
	}
	a.resting = append(a.resting, addr)
}
