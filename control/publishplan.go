package control

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/hostports"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

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
	if err := checkSources(create.Allow); err != nil {
		return fail(api.CodeBadRequest, "%w", err)
	}
	network, err := a.publishNetwork(sb, create.Network)
	if err != nil {
		return fail(api.CodeUnprocessable, "%w", err)
	}
	host := a.hostIP(spec.HostIP, cmp.Or(network, sb.Way))
	if err := a.ownsAddress(host); err != nil {
		return fail(api.CodeUnprocessable, "%w", err)
	}
	p := store.Publish{
		Proto: spec.Proto, HostIP: host, HostPort: spec.HostPort, HostPortEnd: spec.HostPortEnd,
		Sandbox: sb.Name, Network: network, Port: spec.Port, PortEnd: spec.PortEnd, Allow: sources(create.Allow), Owner: ownerEbnet,
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
func (a *Agent) publishNetwork(sb store.Sandbox, name string) (string, error) {
	if onHost(sb) {
		return "", fmt.Errorf("sandbox %s is in the host's own namespace, its ports are the host's already", sb.Name)
	}
	if foreign(sb.Owner) {
		return a.guestPublishNetwork(sb, name)
	}
	ats := bridged(sb)
	switch {
	case len(ats) == 0:
		return "", fmt.Errorf("sandbox %s has no network", sb.Name)
	case name == "":
		name = ats[0].Network
		if way, ok := a.defaultAttachment(sb); ok {
			name = way.Network
		}
	}
	if _, ok := attachedTo(sb, name); !ok {
		return "", fmt.Errorf("sandbox %s is not on network %s", sb.Name, name)
	}
	if a.want.networks[name].Internal {
		return "", fmt.Errorf("network %s is internal: nothing outside reaches it", name)
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
	owner := registryName(*p)
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
			return a.unwrapTaken(err)
		}
	}
	reserved := *p
	back.push(func() error { a.releasePorts(reserved); return nil })
	if err := a.probe(p.Proto, p.HostIP, p.HostPort, p.HostPortEnd); err != nil {
		return a.unwrapTaken(err)
	}
	return nil
}

// unwrapTaken leaves of a conflict what a person needs to know: who has the port, and
// what ends that.
func (a *Agent) unwrapTaken(err error) error {
	var taken *hostports.TakenError
	var inUse *hostports.InUseError
	switch {
	case errors.As(err, &taken):
		return a.whoEnds(taken)
	case errors.As(err, &inUse):
		return inUse
	}
	return err
}

// whoEnds adds to a conflict what ends the publish that is there, by its owner: ebnet
// may have published on an engine's container, too.
func (a *Agent) whoEnds(taken *hostports.TakenError) error {
	at := store.Publish{Proto: taken.Proto, HostIP: taken.Host, HostPort: taken.Port, HostPortEnd: taken.Port}
	for _, p := range a.want.publishes {
		switch {
		case !overlap(p, at):
		case foreign(p.Owner):
			return fmt.Errorf("%w, by %s: %q ends that", taken, title(p.Owner), p.Owner+" rm "+shortName(p.Sandbox))
		default:
			return fmt.Errorf("%w: \"ebnet unpublish %s\" ends that", taken, shortSide(p))
		}
	}
	return taken // by what is being made now
}

func (a *Agent) releasePorts(p store.Publish) {
	a.registry.Release(p.Proto, p.HostIP, p.HostPort, p.HostPortEnd)
}
