package control

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// CreateNetwork makes a network with its bridge, or nothing at all.
func (a *Agent) CreateNetwork(ctx context.Context, create api.NetworkCreate) (_ api.Network, err error) {
	if err := api.ValidName(create.Name); err != nil {
		return api.Network{}, err
	}
	a.hurry()
	defer a.ops.Unlock()
	var back undo
	defer func() { err = a.finish("create network "+create.Name, &back, err) }()

	n, err := a.planNetwork(create)
	if err == nil {
		err = a.addNetwork(n, &back)
	}
	if err != nil {
		return api.Network{}, fmt.Errorf("create network %s: %w", create.Name, err)
	}
	if n.Bridge != "" && !n.OwnsBridge {
		a.wake() // it may have been an uplink until now
	}
	a.log.Info("network created", "network", n.Name, "driver", n.Driver, "bridge", n.Bridge, "subnets", subnets(n))
	return a.Network(ctx, n.Name)
}

// addNetwork makes a network that was planned: in the store, then in the kernel.
func (a *Agent) addNetwork(n store.Network, back *undo) error {
	if err := a.commit(change{putNetworks: []store.Network{n}}); err != nil {
		return err
	}
	back.push(func() error { return a.commit(change{delNetworks: []string{n.Name}}) })
	if n.Driver != api.DriverBridge {
		return nil
	}
	ps, err := openPools(n)
	if err != nil {
		return err
	}
	a.pools[n.Name] = ps
	back.push(func() error { delete(a.pools, n.Name); return nil })
	bridge, err := a.bridge(n)
	if err != nil {
		return err
	}
	ifindex, _, err := a.links.EnsureBridge(bridge)
	if err != nil {
		return err
	}
	back.push(func() error { return a.dismantleNetwork(n) })
	a.setBridge(n.Name, ifindex)
	if err := a.fwd.PutNetwork(a.networkEntry(n, ifindex)); err != nil {
		return err
	}
	if err := a.guardBridge(n, ifindex); err != nil {
		return err
	}
	return a.syncHostAddrs() // the gateway is one of them
}

// dismantleNetwork takes a network that nothing is attached to out of the kernel.
func (a *Agent) dismantleNetwork(n store.Network) error {
	if n.Driver != api.DriverBridge {
		return nil
	}
	errs := []error{a.fwd.DeleteNetwork(n.Index), removeBridge(a.links, n)}
	if bridge := a.live.bridges[n.Name]; n.OwnsBridge && a.hooked[bridge] {
		errs = append(errs, a.unhook(bridge))
	}
	a.setBridge(n.Name, 0)
	return errors.Join(append(errs, a.syncHostAddrs())...)
}

// removeBridge removes a network's bridge, or from one that was there before it what
// ebnet has added to that.
func removeBridge(links Links, n store.Network) error {
	if n.OwnsBridge {
		return links.DeleteLink(n.Bridge)
	}
	var errs []error
	for _, s := range n.Subnets {
		if s.AddsGateway {
			errs = append(errs, links.RemoveAddr(n.Bridge, gatewayPrefix(s)))
		}
	}
	return errors.Join(errs...)
}

// setBridge notes the ifindex of a network's bridge; 0: it has none any more.
func (a *Agent) setBridge(network string, ifindex int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ifindex == 0 {
		delete(a.live.bridges, network)
		return
	}
	a.live.bridges[network] = ifindex
}

// RemoveNetwork removes a network that nothing is attached to, and its bridge. One
// that was there before it is left with what it had then.
func (a *Agent) RemoveNetwork(_ context.Context, name string) error {
	a.hurry()
	defer a.ops.Unlock()
	n, err := a.findNetwork(name)
	if err != nil {
		return err
	}
	if err = a.mayRemove(n); err == nil {
		err = a.removeNetwork(n)
	}
	if err != nil {
		return fmt.Errorf("remove network %s: %w", n.Name, err)
	}
	a.log.Info("network removed", "network", n.Name)
	return nil
}

// removeNetwork leaves the store for last, as removeSandbox does.
func (a *Agent) removeNetwork(n store.Network) error {
	err := a.dismantleNetwork(n)
	if err == nil {
		err = a.commit(change{delNetworks: []string{n.Name}})
	}
	if err != nil {
		a.wake()
		return err
	}
	delete(a.pools, n.Name)
	if n.Bridge != "" && !n.OwnsBridge {
		a.wake() // it may be an uplink from now on
	}
	return nil
}

// mayRemove refuses what is always there, and what is in use.
func (a *Agent) mayRemove(n store.Network) error {
	switch {
	case foreign(n.Owner):
		return mayNotRemove(n)
	case isBuiltIn(n.Name):
		return api.Errorf(api.CodeUnprocessable, "it is built in and always there")
	case n.Name == networkDefault:
		return api.Errorf(api.CodeUnprocessable, "sandboxes join it when they name no network, so it is always there")
	}
	members := a.want.members(n.Name)
	if len(members) == 0 {
		return nil
	}
	return api.Errorf(api.CodeConflict, "%s attached to it: use \"ebnet network disconnect %s SANDBOX\" or remove the sandbox first", sandboxNames(members), n.Name)
}

// sandboxNames says of sandboxes what they are, of as many as fit in a message.
func sandboxNames(all []store.Sandbox) string {
	const most = 10
	var names []string
	for _, sb := range all[:min(most, len(all))] {
		names = append(names, sb.Name)
	}
	text := strings.Join(names, ", ")
	if len(all) > most {
		text += fmt.Sprintf(" and %d more", len(all)-most)
	}
	if len(all) == 1 {
		return "sandbox " + text + " is"
	}
	return "sandboxes " + text + " are"
}
