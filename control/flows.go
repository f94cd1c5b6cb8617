package control

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// Flows lists what is in the flow tables: translated flows, and those of the
// host's own that containers' flows must keep clear of.
func (a *Agent) Flows(context.Context) ([]api.Flow, error) {
	sandboxes := map[uint32]string{}
	a.mu.RLock()
	for _, ep := range a.live.endpoints {
		sandboxes[ep.slot] = ep.sandbox
	}
	a.mu.RUnlock()
	out := []api.Flow{}
	for f, err := range a.fwd.Flows() {
		if err != nil {
			return nil, err
		}
		out = append(out, describeFlow(f, sandboxes[f.Endpoint]))
	}
	return out, nil
}

func describeFlow(f datapath.Flow, sandbox string) api.Flow {
	src, dst, natSrc, natDst := f.Src, f.Dst, f.NATSrc, f.NATDst
	if f.Proto == datapath.ICMP || f.Proto == datapath.ICMPv6 {
		// An echo has one identifier, which people expect on both sides.
		dst = netip.AddrPortFrom(dst.Addr(), src.Port())
		natDst = netip.AddrPortFrom(natDst.Addr(), natSrc.Port())
	}
	return api.Flow{
		Proto: f.Proto.String(), Src: src.String(), Dst: dst.String(),
		NATSrc: natSrc.String(), NATDst: natDst.String(),
		Kind: f.Kind.String(), State: f.State.String(), Sandbox: sandbox,
		AgeSeconds: int64(f.Age.Seconds()), IdleSeconds: int64(f.Idle.Seconds()),
		Packets: f.Packets, Bytes: f.Bytes,
	}
}

// FlushFlows ends flows: those of a sandbox, of a published port, or all.
func (a *Agent) FlushFlows(_ context.Context, flush api.FlowsFlush) (api.FlowsFlushed, error) {
	a.hurry()
	defer a.ops.Unlock()
	var ended int
	var err error
	switch {
	case flush.All && flush.Sandbox == "" && flush.Port == nil:
		ended, err = a.fwd.EndAllFlows()
	case flush.Sandbox != "" && !flush.All && flush.Port == nil:
		ended, err = a.flushSandbox(flush.Sandbox)
	case flush.Port != nil && !flush.All && flush.Sandbox == "":
		ended, err = a.flushPort(*flush.Port)
	default:
		return api.FlowsFlushed{}, api.Errorf(api.CodeBadRequest, "flush flows: say whose: of a sandbox, of a published port, or all")
	}
	return api.FlowsFlushed{Ended: ended}, err
}

func (a *Agent) flushSandbox(name string) (int, error) {
	sb, err := a.target(name)
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, at := range bridged(sb) {
		ep, ok := a.live.endpoints[at.HostInterface]
		if !ok {
			continue
		}
		n, err := a.fwd.EndEndpointFlows(ep.slot)
		ended += n
		if err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// flushPort ends the flows of whole publishes, or of single ports of a range.
func (a *Agent) flushPort(spec api.HostSpec) (int, error) {
	found, err := a.selectPublishes(spec)
	if err == nil {
		ended := 0
		for _, p := range found {
			n, err := a.fwd.EndPublishFlows(a.live.publishes[p.Key()], 0)
			ended += n
			if err != nil {
				return ended, err
			}
		}
		return ended, nil
	}
	around := a.publishesAround(spec)
	if !errors.Is(err, api.ErrUnprocessable) || len(around) == 0 {
		return 0, api.Errorf(apiError(err).Code, "flush flows of %s: %w", spec, err)
	}
	ended := 0
	for _, p := range around {
		for port := int(spec.HostPort); port <= int(spec.HostPortEnd); port++ {
			n, err := a.fwd.EndPublishFlows(a.live.publishes[p.Key()], uint16(port))
			ended += n
			if err != nil {
				return ended, err
			}
		}
	}
	return ended, nil
}

// publishesAround finds the publishes whose ranges hold all ports of a spec: those on all
// addresses, or else one.
func (a *Agent) publishesAround(spec api.HostSpec) []store.Publish {
	var onAll, onOne []store.Publish
	for _, p := range a.want.publishList() {
		switch {
		case p.Proto != spec.Proto || p.HostPort > spec.HostPort || p.HostPortEnd < spec.HostPortEnd:
		case spec.HostIP.IsValid() && p.HostIP != spec.HostIP.Unmap():
		case p.HostIP.IsUnspecified():
			onAll = append(onAll, p)
		default:
			onOne = append(onOne, p)
		}
	}
	if len(onAll) > 0 {
		return onAll
	}
	return onOne[:min(1, len(onOne))]
}
