package control

import (
	"fmt"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/ipam"
	"github.com/ebnet/ebnet/control/store"
)

// openPools readies the address pools from the store.
func (a *Agent) openPools() error {
	for _, n := range a.want.networks {
		if n.Driver != api.DriverBridge || foreign(n.Owner) {
			continue
		}
		alloc, err := openPool(n)
		if err != nil {
			return fmt.Errorf("open addresses of network %s: %w", n.Name, err)
		}
		for _, sb := range a.want.sandboxes {
			for _, at := range sb.Attachments {
				if at.Network != n.Name {
					continue
				}
				for _, addr := range at.Addresses {
					if err := alloc.Reserve(addr.Addr()); err != nil {
						return fmt.Errorf("open addresses of network %s: sandbox %s: %w", n.Name, sb.Name, err)
					}
				}
			}
		}
		a.pools[n.Name] = alloc
	}
	return nil
}

// openPool makes the pool of a network's addresses, none of them taken by a sandbox.
func openPool(n store.Network) (*ipam.Allocator, error) {
	s := n.Subnets[0]
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
