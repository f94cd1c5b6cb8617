package control

import (
	"context"
	"fmt"
	"slices"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// ConnectNetwork attaches a sandbox to one more network, whole or not at all.
func (a *Agent) ConnectNetwork(ctx context.Context, network string, connect api.NetworkConnect) (_ api.Sandbox, err error) {
	a.hurry()
	defer a.ops.Unlock()
	n, sb, err := a.findPair(network, connect.Sandbox)
	if err != nil {
		return api.Sandbox{}, err
	}
	network = n.Name
	what := fmt.Sprintf("connect sandbox %s to network %s", sb.Name, network)
	var back undo
	defer func() { err = a.finish(what, &back, err) }()

	if err := mayMove(sb, n, "connect"); err != nil {
		return api.Sandbox{}, fmt.Errorf("%s: %w", what, err)
	}
	if network == networkHost || onHost(sb) {
		return api.Sandbox{}, api.Errorf(api.CodeUnprocessable, "%s: the host's own namespace cannot be connected to nor left: create another sandbox", what)
	}
	at, nets, err := a.planAttachment(sb, api.Attachment{Network: network, IP: connect.IP, IP6: connect.IP6, MAC: connect.MAC}, &back)
	if err == nil {
		err = a.attach(sb, at, nets, &back)
	}
	if err != nil {
		return api.Sandbox{}, fmt.Errorf("%s: %w", what, err)
	}
	a.log.Info("sandbox connected", "sandbox", sb.Name, "network", network, "interface", at.Interface, "addresses", at.Addresses)
	return a.Sandbox(ctx, sb.Name)
}

// attach makes a planned attachment of a sandbox that is there: in the store,
// then in the kernel.
func (a *Agent) attach(sb store.Sandbox, at store.Attachment, nets []store.Network, back *undo) error {
	grown := sb
	grown.Attachments = append(slices.Clone(sb.Attachments), at)
	if err := a.commit(change{putSandboxes: []store.Sandbox{grown}, putNetworks: nets}); err != nil {
		return err
	}
	back.push(func() error { return a.commit(change{putSandboxes: []store.Sandbox{sb}}) })
	if at.HostInterface == "" {
		return nil
	}
	back.push(func() error { return a.configure(sb) })
	if err := a.buildEndpoint(grown, at, back); err != nil {
		return err
	}
	return a.configure(grown)
}

// configure gives a sandbox that is there the routes and rules of its
// attachments, which depend on each other, and no others. What it cannot do the
// next reconcile is to look for.
func (a *Agent) configure(sb store.Sandbox) (err error) {
	defer func() {
		if err != nil {
			a.unsure[sb.Name] = true
		}
	}()
	if _, err := a.writeResolvConf(sb); err != nil {
		return err
	}
	for _, at := range bridged(sb) {
		veth, err := a.veth(sb, at)
		if err != nil {
			return err
		}
		if err := a.links.UpVeth(veth); err != nil {
			return err
		}
	}
	return a.links.PruneRules(sb.Netns, tables(sb)...)
}

// DisconnectNetwork takes a sandbox off a network, and ends what is published at
// its address there.
func (a *Agent) DisconnectNetwork(_ context.Context, network string, disconnect api.NetworkDisconnect) error {
	a.hurry()
	defer a.ops.Unlock()
	n, sb, err := a.findPair(network, disconnect.Sandbox)
	if err != nil {
		return err
	}
	network = n.Name
	what := fmt.Sprintf("disconnect sandbox %s from network %s", sb.Name, network)
	if err := mayMove(sb, n, "disconnect"); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	at, ok := findAttachment(sb, network)
	switch {
	case !ok:
		return api.Errorf(api.CodeConflict, "%s: it is not on that", what)
	case onHost(sb):
		return api.Errorf(api.CodeUnprocessable, "%s: the host's own namespace cannot be connected to nor left: remove the sandbox", what)
	}
	if err := a.disconnect(sb, at); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	a.log.Info("sandbox disconnected", "sandbox", sb.Name, "network", network, "interface", at.Interface)
	return nil
}

// disconnect leaves the store for last, as removeSandbox does.
func (a *Agent) disconnect(sb store.Sandbox, at store.Attachment) error {
	rest := sb
	rest.Attachments = slices.DeleteFunc(slices.Clone(sb.Attachments), func(other store.Attachment) bool { return other.Network == at.Network })
	published := slices.DeleteFunc(a.want.published(sb.Name), func(p store.Publish) bool { return p.Network != at.Network })
	err := a.detach(rest, at, published)
	if err == nil {
		err = a.commit(change{putSandboxes: []store.Sandbox{rest}, delPublishes: keys(published)})
	}
	if err != nil {
		a.unsure[sb.Name] = true
		a.wake()
		return err
	}
	for _, p := range published {
		a.releasePorts(p)
		a.log.Info("unpublished with its network", "ports", hostSide(p), "sandbox", sb.Name, "network", at.Network)
	}
	a.pools[at.Network].release(at)
	a.releaseReservedPorts()
	return nil
}

// detach takes an attachment out of the kernel: first what leads to it, then it.
// The default route has moved to what is left of the sandbox before.
func (a *Agent) detach(rest store.Sandbox, at store.Attachment, published []store.Publish) error {
	if at.HostInterface == "" {
		return nil
	}
	for _, p := range published {
		if err := a.withdrawPublish(p, a.want.sandboxes[p.Sandbox]); err != nil {
			return err
		}
	}
	if err := a.configure(rest); err != nil {
		return err
	}
	return a.removeEndpoint(at)
}
