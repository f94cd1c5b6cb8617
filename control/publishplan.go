package control

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/hostports"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// planPublish checks what is asked for, fills in what is left open, and reserves
// the host ports. Without a host address it is one publish for each family that the
// sandbox has.
func (a *Agent) planPublish(sb store.Sandbox, create api.PublishCreate, back *undo) ([]store.Publish, error) {
	spec := create.Spec
	fail := func(code, format string, args ...any) ([]store.Publish, error) {
		return nil, api.Errorf(code, "publish %s: %w", spec, fmt.Errorf(format, args...))
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
	places, err := a.publishPlaces(sb, spec.HostIP.Unmap(), create.Network)
	if err != nil {
		return fail(api.CodeUnprocessable, "%w", err)
	}
	var ps []store.Publish
	for _, at := range places {
		if err := a.ownsAddress(at.host); err != nil {
			return fail(api.CodeUnprocessable, "%w", err)
		}
		ps = append(ps, store.Publish{
			Proto: spec.Proto, HostIP: at.host, HostPort: spec.HostPort, HostPortEnd: spec.HostPortEnd,
			Sandbox: sb.Name, Network: at.network, Port: spec.Port, PortEnd: spec.PortEnd, Allow: sources(create.Allow), Owner: ownerEbnet,
		})
	}
	if err := a.reservePorts(ps, back); err != nil {
		return nil, fmt.Errorf("publish %s: %w", spec, err)
	}
	return ps, nil
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

// ownsAddress refuses addresses at which nothing would ever arrive.
func (a *Agent) ownsAddress(host netip.Addr) error {
	if host.IsUnspecified() || host.IsLoopback() {
		return nil
	}
	if host.Is6() && host.IsLinkLocalUnicast() {
		return fmt.Errorf("%s is of one link alone: use a global address", host)
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

// reservePorts takes the host ports of publishes that differ in nothing but the family,
// chooses them where none were named, and makes sure that no process of the host holds one.
func (a *Agent) reservePorts(ps []store.Publish, back *undo) error {
	if ps[0].HostPort == 0 {
		return a.choosePorts(ps, back)
	}
	for _, p := range ps {
		if err := a.registry.Reserve(registryName(p), p.Proto, p.HostIP, p.HostPort, p.HostPortEnd); err != nil {
			return a.unwrapTaken(err)
		}
		back.push(func() error { a.releasePorts(p); return nil })
		// The next one is reserved after that: a port that a process holds without listening
		// is told from one that ebnet's own program refuses by what is published besides.
		if err := a.probe(p.Proto, p.HostIP, p.HostPort, p.HostPortEnd); err != nil {
			return a.unwrapTaken(err)
		}
	}
	return a.unwrapTaken(a.probeLoopback6(ps, ps[0].HostPort, ps[0].HostPortEnd))
}

// choosePorts takes free host ports, the same ones for all of the publishes.
func (a *Agent) choosePorts(ps []store.Publish, back *undo) error {
	var hosts []netip.Addr
	for _, p := range ps {
		hosts = append(hosts, p.HostIP)
	}
	n := int(ps[0].PortEnd) - int(ps[0].Port) + 1
	probe := func(from, to uint16) error { return a.probeAll(ps, from, to) }
	from, err := a.registry.Choose(registryName(ps[0]), ps[0].Proto, hosts, n, probe)
	if err != nil {
		return err
	}
	for i := range ps {
		ps[i].HostPort, ps[i].HostPortEnd = from, from+uint16(n-1)
		reserved := ps[i]
		back.push(func() error { a.releasePorts(reserved); return nil })
	}
	return nil
}

// probeAll fails if a process of the host holds one of the ports on one of the publishes'
// addresses.
func (a *Agent) probeAll(ps []store.Publish, from, to uint16) error {
	for _, p := range ps {
		if err := a.probe(p.Proto, p.HostIP, from, to); err != nil {
			return err
		}
	}
	return a.probeLoopback6(ps, from, to)
}

// probeLoopback6 fails if a process of the host holds one of the ports on [::1], which is
// led to what is published on all IPv4 addresses where nothing is on IPv6.
func (a *Agent) probeLoopback6(ps []store.Publish, from, to uint16) error {
	if len(ps) > 1 || ps[0].HostIP != ipv4.all() {
		return nil
	}
	err := a.probe(ps[0].Proto, netip.IPv6Loopback(), from, to)
	if errors.Is(err, hostports.ErrNotLocal) { // a host without IPv6
		return nil
	}
	return err
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
