package control

import (
	"fmt"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/ipam"
	"github.com/ebnet/ebnet/control/store"
)

// ensureDefault makes the network that sandboxes join when they ask for none,
// with a subnet that nothing on the host overlaps, and keeps it from then on.
func (a *Agent) ensureDefault() error {
	if _, ok := a.want.networks[networkDefault]; ok {
		return nil
	}
	subnet, err := a.freeSubnet(ipv4)
	if err != nil {
		return fmt.Errorf("create network %s: %w", networkDefault, err)
	}
	alloc, err := ipam.New(ipam.Config{Subnet: subnet})
	if err != nil {
		return err
	}
	id := store.NewID()
	n := store.Network{
		Name: networkDefault, ID: id, Index: a.freeIndex(), Driver: api.DriverBridge, Owner: ownerEbnet,
		Subnets: []store.Subnet{{Prefix: subnet, Gateway: alloc.Gateway()}},
		Bridge:  defaultBridge, BridgeMAC: stableMAC(id), OwnsBridge: true,
		ICC: true, Masquerade: true, Created: time.Now().UTC(),
	}
	if err := a.commit(change{putNetworks: []store.Network{n}}); err != nil {
		return fmt.Errorf("create network %s: %w", n.Name, err)
	}
	a.log.Info("network created", "network", n.Name, "bridge", n.Bridge, "subnet", subnet)
	return nil
}
