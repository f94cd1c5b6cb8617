package control

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/ebnet/ebnet/control/api"
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
	a.mu.RLock()
	defer a.mu.RUnlock()
	n, err := a.findNetwork(name)
	if err != nil {
		return api.Network{}, err
	}
	if isBuiltIn(n.Name) {
		return a.builtIn(n.Name), nil
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
		Bridge: n.Bridge, Internal: n.Internal, ICC: n.ICC, Masquerade: n.Masquerade,
		Default: n.Name == networkDefault, Options: n.Options, Labels: n.Labels,
	}
	if n.Driver == api.DriverBridge {
		out.MTU = a.mtu(n)
	}
	if n.HostIP.IsValid() {
		out.HostIP = n.HostIP.String()
	}
	for _, s := range n.Subnets {
		out.Subnets = append(out.Subnets, s.Prefix)
		if s.Gateway.IsValid() {
			out.Gateways = append(out.Gateways, s.Gateway)
		}
		if s.Range.IsValid() {
			out.IPRanges = append(out.IPRanges, s.Range)
		}
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
	case a.live.mtu != 0 && !foreign(n.Owner):
		return a.live.mtu
	}
	return fallbackMTU
}
