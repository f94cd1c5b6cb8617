package control

import (
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/ipam"
	"github.com/ebnet/ebnet/control/store"
)

// pools give out a network's addresses: one for each of its subnets, in their order.
type pools []*ipam.Allocator

// of is the pool of a family; nil: the network has none.
func (ps pools) of(f family) *ipam.Allocator {
	for _, p := range ps {
		if f.hasAddr(p.Subnet()) {
			return p
		}
	}
	return nil
}

// reserve takes an address from the pool that it is of.
func (ps pools) reserve(addr netip.Addr) error {
	pool := ps.of(familyOf(addr))
	if pool == nil {
		return fmt.Errorf("reserve %s: %w", addr, ipam.ErrOutside)
	}
	return pool.Reserve(addr)
}

// release gives an attachment's addresses back.
func (ps pools) release(at store.Attachment) {
	for _, p := range at.Addresses {
		if pool := ps.of(familyOf(p.Addr())); pool != nil {
			pool.Release(p.Addr())
		}
	}
}

// openPools readies the address pools from the store.
func (a *Agent) openPools() error {
	for _, n := range a.want.networks {
		if n.Driver != api.DriverBridge || foreign(n.Owner) {
			continue
		}
		ps, err := openPools(n)
		if err != nil {
			return fmt.Errorf("open addresses of network %s: %w", n.Name, err)
		}
		for _, sb := range a.want.sandboxes {
			for _, at := range sb.Attachments {
				if at.Network != n.Name {
					continue
				}
				for _, addr := range at.Addresses {
					if err := ps.reserve(addr.Addr()); err != nil {
						return fmt.Errorf("open addresses of network %s: sandbox %s: %w", n.Name, sb.Name, err)
					}
				}
			}
		}
		a.pools[n.Name] = ps
	}
	return nil
}

// openPools makes the pools of a network's addresses, none of them taken by a sandbox.
func openPools(n store.Network) (pools, error) {
	var ps pools
	for _, s := range n.Subnets {
		pool, err := openPool(s)
		if err != nil {
			return nil, err
		}
		ps = append(ps, pool)
	}
	return ps, nil
}

func openPool(s store.Subnet) (*ipam.Allocator, error) {
	alloc, err := ipam.New(ipam.Config{Subnet: s.Prefix, Gateway: s.Gateway, Range: s.Range})
	if err != nil {
		return nil, err
	}
	for _, addr := range s.Reserved {
		if err := alloc.Reserve(addr); err != nil {
			return nil, err
		}
	}
	return alloc, alloc.SetCursor(s.Cursor)
}
