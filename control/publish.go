package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/hostports"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// Publishes lists what is published, of one sandbox if its name is not empty.
func (a *Agent) Publishes(_ context.Context, sandbox string) ([]api.Publish, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if sandbox != "" {
		if err := api.ValidRef(sandbox); err != nil {
			return nil, err
		}
		if _, ok := a.want.sandboxes[sandbox]; !ok {
			return nil, noSandbox(sandbox)
		}
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
	target, _ := attachedTo(sb, p.Network)
	return api.Publish{
		Proto: p.Proto, HostIP: p.HostIP.String(), HostPort: p.HostPort, HostPortEnd: p.HostPortEnd,
		Sandbox: p.Sandbox, Address: target, Port: p.Port, PortEnd: p.PortEnd, Allow: p.Allow, Owner: p.Owner,
	}
}

// attachedTo is the IPv4 address that a sandbox has on a network.
func attachedTo(sb store.Sandbox, network string) (netip.Addr, bool) {
	for _, at := range bridged(sb) {
		if at.Network != network {
			continue
		}
		for _, addr := range at.Addresses {
			if addr.Addr().Is4() {
				return addr.Addr(), true
			}
		}
	}
	return netip.Addr{}, false
}

// Publish leads host ports to a sandbox's ports: all that are asked for, or none.
func (a *Agent) Publish(_ context.Context, create api.PublishCreate) (_ api.Publish, err error) {
	a.ops.Lock()
	defer a.ops.Unlock()
	var back undo
	defer func() { err = a.finish("publish "+create.Spec.String(), &back, err) }()

	sb, err := a.target(create.Sandbox)
	if err != nil {
		return api.Publish{}, err
	}
	p, err := a.planPublish(sb, create, &back)
	if err != nil {
		return api.Publish{}, err
	}
	if err := a.commit(change{putPublishes: []store.Publish{p}}); err != nil {
		return api.Publish{}, err
	}
	back.push(func() error { return a.commit(change{delPublishes: []store.PublishKey{p.Key()}}) })
	if err := a.applyPublish(p, &back); err != nil {
		return api.Publish{}, err
	}
	if err := a.syncReservedPorts(); err != nil {
		return api.Publish{}, err
	}
	a.log.Info("published", "ports", hostSide(p), "sandbox", sb.Name, "port", p.Port)
	return describePublish(p, sb), nil
}

// target finds the sandbox to publish to: the named one, or the only one.
func (a *Agent) target(name string) (store.Sandbox, error) {
	if name != "" {
		if err := api.ValidRef(name); err != nil {
			return store.Sandbox{}, err
		}
		sb, ok := a.want.sandboxes[name]
		if !ok {
			return store.Sandbox{}, noSandbox(name)
		}
		return sb, nil
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

// planPublish checks what is asked for, fills in what is left open, and reserves
// the host ports.
func (a *Agent) planPublish(sb store.Sandbox, create api.PublishCreate, back *undo) (store.Publish, error) {
	spec := create.Spec
	fail := func(code, format string, args ...any) (store.Publish, error) {
		return store.Publish{}, api.Errorf(code, "publish %s: %w", spec, fmt.Errorf(format, args...))
	}
	if err := checkSpec(spec); err != nil {
		return fail(api.CodeBadRequest, "%w", err)
	}
	if spec.Proto == datapath.SCTP.String() {
		return fail(api.CodeUnprocessable, "sctp is not supported yet")
	}
	if len(create.Allow) > 0 {
		return fail(api.CodeUnprocessable, "source lists (--allow) are not supported yet")
	}
	network, err := publishNetwork(sb, create.Network)
	if err != nil {
		return fail(api.CodeUnprocessable, "%w", err)
	}
	host := a.hostIP(spec.HostIP, network)
	if err := a.ownsAddress(host); err != nil {
		return fail(api.CodeUnprocessable, "%w", err)
	}
	p := store.Publish{
		Proto: spec.Proto, HostIP: host, HostPort: spec.HostPort, HostPortEnd: spec.HostPortEnd,
		Sandbox: sb.Name, Network: network, Port: spec.Port, PortEnd: spec.PortEnd, Owner: ownerEbnet,
	}
	if err := a.reservePorts(&p, back); err != nil {
		return store.Publish{}, fmt.Errorf("publish %s: %w", spec, err)
	}
	return p, nil
}

// checkSpec holds a spec that came as JSON to what the parser ensures of text.
func checkSpec(s api.PublishSpec) error {
	parsed, err := api.ParsePublish(s.String())
	if err != nil {
		return err
	}
	if parsed != s {
		return fmt.Errorf("means %s", parsed)
	}
	return nil
}

// publishNetwork is the network on which a sandbox is published: the named one,
// or that of its default route.
func publishNetwork(sb store.Sandbox, name string) (string, error) {
	if onHost(sb) {
		return "", fmt.Errorf("sandbox %s is in the host's own namespace, its ports are the host's already", sb.Name)
	}
	ats := bridged(sb)
	switch {
	case len(ats) == 0:
		return "", fmt.Errorf("sandbox %s has no network", sb.Name)
	case name == "":
		return ats[0].Network, nil
	}
	if _, ok := attachedTo(sb, name); !ok {
		return "", fmt.Errorf("sandbox %s is not on network %s", sb.Name, name)
	}
	return name, nil
}

// hostIP is the host address to publish on: the one asked for, or the network's
// default, or the agent's.
func (a *Agent) hostIP(asked netip.Addr, network string) netip.Addr {
	for _, addr := range []netip.Addr{asked, a.want.networks[network].HostIP, a.opt.HostIP} {
		if addr.IsValid() {
			return addr.Unmap()
		}
	}
	return netip.IPv4Unspecified()
}

// ownsAddress refuses addresses at which nothing would ever arrive.
func (a *Agent) ownsAddress(host netip.Addr) error {
	if host.Is6() {
		return errors.New("IPv6 is not supported yet")
	}
	if host.IsUnspecified() || host.IsLoopback() {
		return nil
	}
	links, err := a.links.Links()
	if err != nil {
		return err
	}
	for _, l := range links {
		for _, addr := range l.Addrs {
			if addr.Addr() == host {
				return nil
			}
		}
	}
	return fmt.Errorf("the host does not own %s", host)
}

// reservePorts takes the host ports, chooses them where none were named, and
// makes sure that no process of the host holds one.
func (a *Agent) reservePorts(p *store.Publish, back *undo) error {
	owner := "sandbox " + p.Sandbox
	if p.HostPort == 0 {
		n := int(p.PortEnd) - int(p.Port) + 1
		probe := func(from, to uint16) error { return a.probe(p.Proto, p.HostIP, from, to) }
		from, err := a.registry.Choose(owner, p.Proto, p.HostIP, n, probe)
		if err != nil {
			return err
		}
		p.HostPort, p.HostPortEnd = from, from+uint16(n-1)
	} else {
		if err := a.registry.Reserve(owner, p.Proto, p.HostIP, p.HostPort, p.HostPortEnd); err != nil {
			return unwrapTaken(err)
		}
	}
	reserved := *p
	back.push(func() error { a.releasePorts(reserved); return nil })
	if err := a.probe(p.Proto, p.HostIP, p.HostPort, p.HostPortEnd); err != nil {
		return unwrapTaken(err)
	}
	return nil
}

// unwrapTaken leaves of a conflict what a person needs to know: who has the port.
func unwrapTaken(err error) error {
	var taken *hostports.TakenError
	var inUse *hostports.InUseError
	switch {
	case errors.As(err, &taken):
		return fmt.Errorf("%w: \"ebnet unpublish\" ends that", taken)
	case errors.As(err, &inUse):
		return inUse
	}
	return err
}

func (a *Agent) releasePorts(p store.Publish) {
	a.registry.Release(p.Proto, p.HostIP, p.HostPort, p.HostPortEnd)
}

// applyPublish writes a publish that is wanted into the datapath.
func (a *Agent) applyPublish(p store.Publish, back *undo) error {
	entry, err := publishEntry(p, a.want.sandboxes[p.Sandbox])
	if err != nil {
		return err
	}
	written, err := a.fwd.Publish(entry)
	if errors.Is(err, datapath.ErrExists) {
		// Nobody has it by the registry, so it is what an earlier failure left.
		if err = a.fwd.Unpublish(entry); err == nil {
			written, err = a.fwd.Publish(entry)
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

// publishEntry is a publish as the datapath knows it.
func publishEntry(p store.Publish, sb store.Sandbox) (datapath.Publish, error) {
	proto, err := datapath.ParseProto(p.Proto)
	if err != nil {
		return datapath.Publish{}, err
	}
	target, ok := attachedTo(sb, p.Network)
	if !ok {
		return datapath.Publish{}, fmt.Errorf("publish %s: sandbox %s has no address on network %s", hostSide(p), p.Sandbox, p.Network)
	}
	return datapath.Publish{
		Proto: proto, Host: p.HostIP, HostPort: p.HostPort, HostPortEnd: p.HostPortEnd, Target: target, Port: p.Port,
	}, nil
}

// withdrawPublish takes a publish out of the datapath.
func (a *Agent) withdrawPublish(p store.Publish, sb store.Sandbox) error {
	entry, err := publishEntry(p, sb)
	if err != nil {
		return err
	}
	if err := a.fwd.Unpublish(entry); err != nil {
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
