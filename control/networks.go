package control

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/ipam"
	"github.com/ebnet/ebnet/control/store"
)

// The networks that are always there.
const (
	networkDefault = "default" // a bridge, for sandboxes that ask for none
	networkNone    = "none"    // lo alone
	networkHost    = "host"    // the agent's own namespace
)

const (
	ownerEbnet    = "ebnet"
	driverBridge  = "bridge"
	defaultBridge = "ebnet0"
	fallbackMTU   = 1500 // bytes
)

// Networks lists all networks, by name.
func (a *Agent) Networks(context.Context) ([]api.Network, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	all := []api.Network{a.builtIn(networkHost), a.builtIn(networkNone)}
	for _, n := range a.want.networkList() {
		all = append(all, a.describeNetwork(n))
	}
	slices.SortFunc(all, func(x, y api.Network) int {
		if x.Default != y.Default {
			return map[bool]int{true: -1, false: 1}[x.Default]
		}
		return cmp.Compare(x.Name, y.Name)
	})
	return all, nil
}

// Network describes one network.
func (a *Agent) Network(_ context.Context, name string) (api.Network, error) {
	if err := api.ValidRef(name); err != nil {
		return api.Network{}, err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if name == networkNone || name == networkHost {
		return a.builtIn(name), nil
	}
	n, ok := a.want.networks[name]
	if !ok {
		return api.Network{}, noNetwork(name)
	}
	return a.describeNetwork(n), nil
}

func noNetwork(name string) error {
	return api.Errorf(api.CodeNotFound, "there is no network %q: \"ebnet network ls\" lists them", name)
}

// builtIn describes a network that has neither addresses nor a place in the store.
func (a *Agent) builtIn(name string) api.Network {
	id := sha256.Sum256([]byte(a.store.ID() + "/" + name))
	n := api.Network{Name: name, ID: hex.EncodeToString(id[:]), Driver: name, Scope: "local", Owner: ownerEbnet}
	for _, sb := range a.want.sandboxList() {
		if slices.ContainsFunc(sb.Attachments, func(at store.Attachment) bool { return at.Network == name }) {
			n.Endpoints = append(n.Endpoints, api.NetworkEndpoint{Sandbox: sb.Name})
		}
	}
	return n
}

func (a *Agent) describeNetwork(n store.Network) api.Network {
	out := api.Network{
		Name: n.Name, ID: n.ID, Driver: n.Driver, Scope: "local", Owner: n.Owner,
		Bridge: n.Bridge, MTU: a.mtu(n), Internal: n.Internal, ICC: n.ICC, Masquerade: n.Masquerade,
		Default: n.Name == networkDefault, Options: n.Options, Labels: n.Labels,
	}
	if n.HostIP.IsValid() {
		out.HostIP = n.HostIP.String()
	}
	for _, s := range n.Subnets {
		out.Subnets = append(out.Subnets, s.Prefix)
		out.Gateways = append(out.Gateways, s.Gateway)
	}
	for _, sb := range a.want.sandboxList() {
		for _, at := range sb.Attachments {
			if at.Network == n.Name {
				out.Endpoints = append(out.Endpoints, api.NetworkEndpoint{Sandbox: sb.Name, Addresses: at.Addresses, MAC: at.MAC})
			}
		}
	}
	return out
}

// mtu is the network's own or that of the way to the outside, in bytes.
func (a *Agent) mtu(n store.Network) int {
	switch {
	case n.MTU != 0:
		return n.MTU
	case a.live.mtu != 0:
		return a.live.mtu
	}
	return fallbackMTU
}

// ensureDefault makes the network that sandboxes join when they ask for none,
// with a subnet that nothing on the host overlaps, and keeps it from then on.
func (a *Agent) ensureDefault() error {
	if _, ok := a.want.networks[networkDefault]; ok {
		return nil
	}
	used, err := a.usedPrefixes()
	if err != nil {
		return err
	}
	subnet, err := ipam.ChooseSubnet(a.random, ipam.DefaultPools(), used)
	if err != nil {
		return fmt.Errorf("choose subnet of network %s: %w: every private subnet of Docker's pools overlaps an address or a route of the host", networkDefault, err)
	}
	alloc, err := ipam.New(ipam.Config{Subnet: subnet})
	if err != nil {
		return err
	}
	id := store.NewID()
	n := store.Network{
		Name: networkDefault, ID: id, Index: a.freeIndex(), Driver: driverBridge, Owner: ownerEbnet,
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

// usedPrefixes is what a new subnet must keep clear of.
func (a *Agent) usedPrefixes() ([]netip.Prefix, error) {
	used, err := a.links.Routes()
	if err != nil {
		return nil, err
	}
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

// freeIndex is the lowest number that no network has in the datapath.
func (a *Agent) freeIndex() uint16 {
	for i := uint16(1); ; i++ {
		taken := false
		for _, n := range a.want.networks {
			taken = taken || n.Index == i
		}
		if !taken {
			return i
		}
	}
}

// openPools readies the address pools from the store.
func (a *Agent) openPools() error {
	for _, n := range a.want.networks {
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

func openPool(n store.Network) (*ipam.Allocator, error) {
	s := n.Subnets[0]
	alloc, err := ipam.New(ipam.Config{Subnet: s.Prefix, Gateway: s.Gateway, Range: s.Range})
	if err != nil {
		return nil, err
	}
	return alloc, alloc.SetCursor(s.Cursor)
}

// stableMAC makes a MAC address of a seed: always the same one, and unlike that
// of any container, which begins with 02:42.
func stableMAC(seed string) string {
	h := sha256.Sum256([]byte(seed))
	return net.HardwareAddr{0x02, 0xeb, h[0], h[1], h[2], h[3]}.String()
}
