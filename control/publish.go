package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// Publishes lists what is published, of one sandbox if its name is not empty.
func (a *Agent) Publishes(_ context.Context, sandbox string) ([]api.Publish, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if sandbox != "" {
		sb, err := a.findSandbox(sandbox)
		if err != nil {
			return nil, err
		}
		sandbox = sb.Name
	}
	var out []api.Publish
	for _, p := range a.want.publishList() {
		if sandbox == "" || p.Sandbox == sandbox {
			out = append(out, describePublish(p, a.want.sandboxes[p.Sandbox]))
		}
	}
	return out, nil
}

func describePublish(p store.Publish, sb store.Sandbox) api.Publish {
	target, _ := publishedAt(sb, p)
	return api.Publish{
		Proto: p.Proto, HostIP: p.HostIP.String(), HostPort: p.HostPort, HostPortEnd: p.HostPortEnd,
		Sandbox: p.Sandbox, Address: target, Port: p.Port, PortEnd: p.PortEnd, Allow: p.Allow, Owner: p.Owner,
	}
}

// publishedAt is the address of a sandbox that a publish leads to: of the same family as
// the host's.
func publishedAt(sb store.Sandbox, p store.Publish) (netip.Addr, bool) {
	return attachedTo(sb, p.Network, familyOf(p.HostIP))
}

// attachedTo is the address of a family that a sandbox has on a network; without a name on
// that of its default route.
func attachedTo(sb store.Sandbox, network string, f family) (netip.Addr, bool) {
	network = cmp.Or(network, sb.Way)
	for _, at := range bridged(sb) {
		if at.Network == network {
			return f.addrOf(at)
		}
	}
	return netip.Addr{}, false
}

// Publish leads host ports to a sandbox's ports: all that are asked for, or none. Without a
// host address that is one publish for each family that the sandbox has.
func (a *Agent) Publish(_ context.Context, create api.PublishCreate) (_ []api.Publish, err error) {
	a.hurry()
	defer a.ops.Unlock()
	var back undo
	defer func() { err = a.finish("publish "+create.Spec.String(), &back, err) }()

	sb, err := a.target(create.Sandbox)
	if err != nil {
		return nil, err
	}
	ps, err := a.planPublish(sb, create, &back)
	if err != nil {
		return nil, err
	}
	if err := a.commit(change{putPublishes: ps}); err != nil {
		return nil, err
	}
	back.push(func() error { return a.commit(change{delPublishes: keys(ps)}) })
	var out []api.Publish
	for _, p := range ps {
		if err := a.applyPublish(p, &back); err != nil {
			return nil, err
		}
		out = append(out, describePublish(p, sb))
	}
	if err := a.syncReservedPorts(); err != nil {
		return nil, err
	}
	a.log.Info("published", "ports", hostSides(ps), "sandbox", sb.Name, "port", ps[0].Port)
	return out, nil
}

func keys(ps []store.Publish) []store.PublishKey {
	var out []store.PublishKey
	for _, p := range ps {
		out = append(out, p.Key())
	}
	return out
}

// target finds the sandbox to publish to: the named one, or the only one.
func (a *Agent) target(name string) (store.Sandbox, error) {
	if name != "" {
		return a.findSandbox(name)
	}
	all := a.want.sandboxList()
	switch len(all) {
	case 0:
		return store.Sandbox{}, api.Errorf(api.CodeNotFound, "there is no sandbox to publish to: create one with \"ebnet sandbox create NAME\"")
	case 1:
		return all[0], nil
	}
	const most = 10 // names in a message
	var names []string
	for _, sb := range all[:min(most, len(all))] {
		names = append(names, sb.Name)
	}
	if len(all) > most {
		names = append(names, "...")
	}
	return store.Sandbox{}, api.Errorf(api.CodeBadRequest, "there are %d sandboxes: name one with --to (%s)", len(all), strings.Join(names, ", "))
}

// applyPublish writes a publish that is wanted into the datapath.
func (a *Agent) applyPublish(p store.Publish, back *undo) error {
	entry, known, err := a.want.entry(p)
	if err != nil || !known {
		return err
	}
	written, err := a.fwd.Publish(entry, p.Allow)
	if errors.Is(err, datapath.ErrExists) {
		// Nobody has it by the registry, so it is what an earlier failure left.
		if err = a.fwd.Unpublish(entry); err == nil {
			written, err = a.fwd.Publish(entry, p.Allow)
		}
	}
	if err != nil {
		return err
	}
	back.push(func() error { return a.withdrawPublish(p, a.want.sandboxes[p.Sandbox]) })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live.publishes[p.Key()] = written.Slot
	return nil
}

// entry is a publish as the datapath is to know it; none where that is not to know it.
// To an engine's container that is stopped a publish leads nowhere, and keeps its port all
// the same, unless the engine keeps it.
func (d desired) entry(p store.Publish) (entry datapath.Publish, known bool, err error) {
	sb := d.sandboxes[p.Sandbox]
	entry, err = publishEntry(p, sb)
	if errors.Is(err, errNoAddress) && foreign(sb.Owner) {
		return entry, !entry.Held, nil
	}
	return entry, err == nil, err
}

// leads says whether a publish leads to a container that runs.
func (d desired) leads(p store.Publish) bool {
	_, runs := publishedAt(d.sandboxes[p.Sandbox], p)
	return runs
}

// errNoAddress says that a sandbox is not there for a publish to lead to.
var errNoAddress = errors.New("it has no address")

// publishEntry is a publish as the datapath knows it. With errNoAddress it is that
// without its target.
func publishEntry(p store.Publish, sb store.Sandbox) (datapath.Publish, error) {
	proto, err := datapath.ParseProto(p.Proto)
	if err != nil {
		return datapath.Publish{}, err
	}
	target, ok := publishedAt(sb, p)
	if !ok {
		err = fmt.Errorf("publish %s to sandbox %s on network %s: %w", hostSide(p), p.Sandbox, p.Network, errNoAddress)
	}
	return datapath.Publish{
		Proto: proto, Host: p.HostIP, HostPort: p.HostPort, HostPortEnd: p.HostPortEnd, Target: target, Port: p.Port,
		Held: foreign(p.Owner),
	}, err
}

// withdrawPublish takes a publish out of the datapath.
func (a *Agent) withdrawPublish(p store.Publish, sb store.Sandbox) error {
	entry, err := publishEntry(p, sb)
	if err != nil && !errors.Is(err, errNoAddress) {
		return err
	}
	if err := a.fwd.Unpublish(entry); err != nil {
		return err
	}
	if err := a.endHostSockets(entry); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.live.publishes, p.Key())
	return nil
}

// hostSide is how people write the host's side of a publish.
func hostSide(p store.Publish) string {
	return api.HostSpec{HostIP: p.HostIP, HostPort: p.HostPort, HostPortEnd: p.HostPortEnd, Proto: p.Proto}.String()
}

func hostSides(ps []store.Publish) string {
	var out []string
	for _, p := range ps {
		out = append(out, hostSide(p))
	}
	return strings.Join(out, " and ")
}
