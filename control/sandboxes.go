package control

import (
	"context"
	"fmt"
	"os"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// Sandboxes lists all sandboxes, by name.
func (a *Agent) Sandboxes(context.Context) ([]api.Sandbox, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	byName := map[string][]store.Publish{}
	for _, p := range a.want.publishList() {
		byName[p.Sandbox] = append(byName[p.Sandbox], p)
	}
	var all []api.Sandbox
	for _, sb := range a.want.sandboxList() {
		all = append(all, a.describeSandbox(sb, byName[sb.Name]))
	}
	return all, nil
}

// Sandbox describes one sandbox.
func (a *Agent) Sandbox(_ context.Context, name string) (api.Sandbox, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	sb, err := a.findSandbox(name)
	if err != nil {
		return api.Sandbox{}, err
	}
	return a.describeSandbox(sb, a.want.published(sb.Name)), nil
}

func noSandbox(name string) error {
	return api.Errorf(api.CodeNotFound, "there is no sandbox %q: \"ebnet sandbox ls\" lists them", name)
}

func (a *Agent) describeSandbox(sb store.Sandbox, published []store.Publish) api.Sandbox {
	out := api.Sandbox{Name: sb.Name, ID: sb.ID, Owner: sb.Owner, Netns: sb.Netns, Labels: sb.Labels, DNS: sb.DNS}
	if onHost(sb) {
		out.Netns = fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	}
	for _, at := range bridged(sb) {
		out.Endpoints = append(out.Endpoints, api.Endpoint{
			Network: at.Network, Interface: at.Interface, Addresses: at.Addresses, MAC: at.MAC,
			HostInterface: at.HostInterface, HostMAC: at.HostMAC, Gateways: ways(a.want.networks[at.Network]),
		})
	}
	for _, p := range published {
		out.Published = append(out.Published, describePublish(p, sb))
	}
	return out
}

// CreateSandbox makes a sandbox with its attachments and published ports, or
// nothing at all.
func (a *Agent) CreateSandbox(ctx context.Context, create api.SandboxCreate) (_ api.Sandbox, err error) {
	a.hurry()
	defer a.ops.Unlock()
	var back undo
	defer func() { err = a.finish("create sandbox "+create.Name, &back, err) }()

	sb, nets, err := a.planSandbox(&create, &back)
	if err != nil {
		return api.Sandbox{}, err
	}
	var publishes []store.Publish
	for _, spec := range create.Publish {
		ps, err := a.planPublish(sb, api.PublishCreate{Spec: spec}, &back)
		if err != nil {
			return api.Sandbox{}, err
		}
		publishes = append(publishes, ps...)
	}
	c := change{putSandboxes: []store.Sandbox{sb}, putPublishes: publishes, putNetworks: nets}
	if err := a.commit(c); err != nil {
		return api.Sandbox{}, err
	}
	back.push(func() error {
		return a.commit(change{delSandboxes: []string{sb.Name}, delPublishes: keys(publishes)})
	})
	if err := a.buildSandbox(sb, &back); err != nil {
		return api.Sandbox{}, fmt.Errorf("create sandbox %s: %w", sb.Name, err)
	}
	for _, p := range publishes {
		if err := a.applyPublish(p, &back); err != nil {
			return api.Sandbox{}, fmt.Errorf("create sandbox %s: %w", sb.Name, err)
		}
	}
	if err := a.syncReservedPorts(); err != nil {
		return api.Sandbox{}, fmt.Errorf("create sandbox %s: %w", sb.Name, err)
	}
	a.watchOwner(sb)
	a.log.Info("sandbox created", "sandbox", sb.Name, "addresses", addresses(sb))
	return a.Sandbox(ctx, sb.Name)
}

// finish ends an operation: after an error it takes back the steps that were
// done, and leaves what cannot be taken back to a reconcile.
func (a *Agent) finish(what string, back *undo, err error) error {
	if err == nil {
		return nil
	}
	if failed := back.run(); failed != nil {
		a.log.Error("undo failed, reconciling", "operation", what, "error", failed)
		a.wake()
	}
	a.releaseReservedPorts()
	return err
}
