package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// Unpublish ends what is published at the host ports: new connections at once,
// and the flows there are. It says what that was.
func (a *Agent) Unpublish(_ context.Context, spec api.HostSpec) ([]api.Publish, error) {
	a.hurry()
	defer a.ops.Unlock()
	found, err := a.selectPublishes(spec)
	for _, p := range found {
		err = errors.Join(err, mayUnpublish(p))
	}
	if err != nil {
		return nil, api.Errorf(apiError(err).Code, "unpublish %s: %w", spec, err)
	}
	removed := []api.Publish{}
	for _, p := range found {
		sb := a.want.sandboxes[p.Sandbox]
		if err := a.unpublish(p, sb); err != nil {
			a.wake()
			return nil, fmt.Errorf("unpublish %s: %w", hostSide(p), err)
		}
		removed = append(removed, describePublish(p, sb))
	}
	a.releaseReservedPorts()
	if len(a.adopted.problems) > 0 {
		a.wake() // the engine may have waited for the port
	}
	return removed, nil
}

// unpublish leaves the store for last, as removeSandbox does.
func (a *Agent) unpublish(p store.Publish, sb store.Sandbox) error {
	if err := a.withdrawPublish(p, sb); err != nil {
		return err
	}
	if err := a.commit(change{delPublishes: []store.PublishKey{p.Key()}}); err != nil {
		return err
	}
	a.releasePorts(p)
	a.log.Info("unpublished", "ports", hostSide(p), "sandbox", p.Sandbox)
	return nil
}

// selectPublishes finds what is published at exactly the ports of a spec.
func (a *Agent) selectPublishes(spec api.HostSpec) ([]store.Publish, error) {
	return selectPublishes(maps.Values(a.want.publishes), spec, a.opt.HostIP, a.isByDefault)
}

// isByDefault says whether a publish is on the address that those on its network have
// when they name none.
func (a *Agent) isByDefault(p store.Publish) bool {
	return p.HostIP == a.hostIP(familyOf(p.HostIP), p.Network, a.want.sandboxes[p.Sandbox])
}

// selectPublishes finds what is published at exactly the ports of a spec: one
// publish, or several that make up its range. Without an address it takes those
// on all addresses, or else those on the address that publishes have by default,
// or, where there are no others, on that which they have on their networks: a
// person who names no other means no other.
func selectPublishes(all iter.Seq[store.Publish], spec api.HostSpec, byDefault netip.Addr, onNetwork func(store.Publish) bool) ([]store.Publish, error) {
	byHost := map[netip.Addr][]store.Publish{}
	for p := range all {
		if p.Proto != spec.Proto || p.HostPortEnd < spec.HostPort || p.HostPort > spec.HostPortEnd {
			continue
		}
		if spec.HostIP.IsValid() && p.HostIP != spec.HostIP.Unmap() {
			continue
		}
		byHost[p.HostIP] = append(byHost[p.HostIP], p)
	}
	for _, found := range byHost {
		sortPublishes(found)
	}
	if spec.HostIP.IsValid() {
		byDefault = spec.HostIP.Unmap()
	}
	if found, err := onAll(byHost, spec); len(found) > 0 || err != nil {
		return found, err
	}
	if found, ok := byHost[byDefault]; ok {
		return found, covers(found, spec)
	}
	if len(byHost) == 0 {
		return nil, api.Errorf(api.CodeNotFound, "nothing is published there: \"ebnet port\" lists what is")
	}
	for _, found := range byHost {
		if len(byHost) == 1 && !slices.ContainsFunc(found, func(p store.Publish) bool { return !onNetwork(p) }) {
			return found, covers(found, spec)
		}
	}
	var hosts []string
	for host := range byHost {
		hosts = append(hosts, host.String())
	}
	slices.Sort(hosts)
	return nil, api.Errorf(api.CodeConflict, "published on %s, not on all addresses: name the address", strings.Join(hosts, " and "))
}

// onAll are those on all addresses of one family or of both, where that family has all of
// a spec's ports.
func onAll(byHost map[netip.Addr][]store.Publish, spec api.HostSpec) ([]store.Publish, error) {
	var all, few []store.Publish
	var short error // one family lacks ports
	for _, f := range families {
		found, ok := byHost[f.all()]
		if !ok {
			continue
		}
		switch err := covers(found, spec); {
		case err == nil:
			all = append(all, found...)
		case !errors.Is(err, api.ErrNotFound):
			return found, err
		default:
			few, short = found, err
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return few, short
}

// covers refuses to end a part of a publish, or more than there is.
func covers(found []store.Publish, spec api.HostSpec) error {
	next := int(spec.HostPort)
	for _, p := range found { // in the order of their ports
		if p.HostPort < spec.HostPort || p.HostPortEnd > spec.HostPortEnd {
			return api.Errorf(api.CodeUnprocessable, "that is a part of %s, which is published as one: name it whole", hostSide(p))
		}
		if int(p.HostPort) != next {
			break
		}
		next = int(p.HostPortEnd) + 1
	}
	if next != int(spec.HostPortEnd)+1 {
		return api.Errorf(api.CodeNotFound, "port %d is not published: \"ebnet port\" lists what is", next)
	}
	return nil
}
