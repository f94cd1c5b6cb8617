package control

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// sources orders a source list as the datapath does, and leaves out what stands
// there twice.
func sources(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if addr := p.Addr(); addr.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(addr.Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// checkSources refuses what JSON can hold but is no prefix.
func checkSources(lists ...[]netip.Prefix) error {
	for _, list := range lists {
		if slices.ContainsFunc(list, func(p netip.Prefix) bool { return !p.IsValid() }) {
			return api.Errorf(api.CodeBadRequest, "a source is empty: use a CIDR such as 192.0.2.0/24")
		}
	}
	return nil
}

// ChangeAllow changes who may connect to what is published at the host ports:
// at all of them, or at none. It says what is published there then.
func (a *Agent) ChangeAllow(_ context.Context, c api.AllowChange) (_ []api.Publish, err error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := checkSources(c.Add, c.Remove, c.Set); err != nil {
		return nil, fmt.Errorf("allow %s: %w", c.Spec, err)
	}
	a.hurry()
	defer a.ops.Unlock()
	what := "allow " + c.Spec.String()
	var back undo
	defer func() { err = a.finish(what, &back, err) }()

	found, err := a.selectPublishes(c.Spec)
	if err != nil && len(found) == 0 {
		var ended bool
		if ended, err = a.allowUnpublished(c, err); ended {
			return nil, err
		}
	}
	if err != nil {
		return nil, api.Errorf(apiError(err).Code, "%s: %w", what, err)
	}
	var changed change
	for _, p := range found {
		if p.Allow, err = changeSources(p.Allow, c); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		changed.putPublishes = append(changed.putPublishes, p)
	}
	was := change{putPublishes: found}
	a.changeLists(&changed, &was)
	if err := a.commit(changed); err != nil {
		return nil, err
	}
	back.push(func() error { return a.commit(was) })
	var out []api.Publish
	for i, p := range changed.putPublishes {
		if err := a.applyAllow(p, found[i], &back); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		out = append(out, describePublish(p, a.want.sandboxes[p.Sandbox]))
	}
	a.log.Info("sources changed", "ports", c.Spec.String(), "allow", len(changed.putPublishes[0].Allow))
	return out, nil
}

// allowUnpublished changes the source lists of ports that an engine does not publish now:
// it can end them, and for all else says why that has to wait. Where there are none it is
// left at why.
func (a *Agent) allowUnpublished(c api.AllowChange, why error) (ended bool, err error) {
	var kept []store.Publish
	for _, l := range a.want.lists {
		kept = append(kept, allPorts(l))
	}
	anywhere := func(store.Publish) bool { return true }
	found, err := selectPublishes(slices.Values(kept), c.Spec, a.opt.HostIP, anywhere)
	if err != nil {
		return false, a.mayBeStopped(why)
	}
	if !c.Any {
		return false, api.Errorf(api.CodeUnprocessable, "%s: its source list is kept until then, and \"--any\" ends it",
			a.whyUnpublished(a.want.lists[found[0].Key()]))
	}
	var changed change
	for _, p := range found {
		changed.delLists = append(changed.delLists, p.Key())
	}
	if err := a.commit(changed); err != nil {
		return true, err
	}
	a.log.Info("sources changed", "ports", c.Spec.String(), "allow", 0)
	return true, nil
}

// whyUnpublished says why an engine does not publish the ports of a source list.
func (a *Agent) whyUnpublished(l store.SourceList) string {
	for name, sb := range a.want.sandboxes {
		switch {
		case l.Container != sb.ID:
		case sb.Netns == "":
			return fmt.Sprintf("%s does not run, so nothing is published there until it does", name)
		default:
			return fmt.Sprintf("%s does not publish it now", name)
		}
	}
	return fmt.Sprintf("%s publishes nothing there until a container with that port runs", title(l.Owner))
}

// mayBeStopped is the error that nothing is published where containers which do not run
// may have the port: their engine does not tell.
func (a *Agent) mayBeStopped(err error) error {
	for _, sb := range a.want.sandboxes {
		if foreign(sb.Owner) && sb.Netns == "" && apiError(err).Code == api.CodeNotFound {
			return api.Errorf(api.CodeNotFound, "nothing that runs is published there: \"ebnet port\" lists what is, "+
				"and %s publishes the ports of a container when that starts", title(sb.Owner))
		}
	}
	return err
}

// applyAllow writes the source list of a publish that had another one.
func (a *Agent) applyAllow(p, old store.Publish, back *undo) error {
	slot, ok := a.live.publishes[p.Key()]
	if !ok {
		return fmt.Errorf("%s is not in the datapath: see \"ebnet status\"", hostSide(p))
	}
	if err := a.fwd.SetAllowed(slot, p.Allow); err != nil {
		return err
	}
	back.push(func() error { return a.fwd.SetAllowed(slot, old.Allow) })
	return nil
}

// changeSources is a source list after a change. It refuses what would open to
// anyone, or close to most, what was not meant to be: that has to be said.
func changeSources(old []netip.Prefix, c api.AllowChange) ([]netip.Prefix, error) {
	switch {
	case c.Any:
		return nil, nil
	case len(c.Set) > 0:
		return sources(c.Set), nil
	case len(old) == 0:
		return nil, api.Errorf(api.CodeUnprocessable, "anyone may connect: \"--set\" lets only some")
	case len(c.Add) > 0:
		return sources(slices.Concat(old, c.Add)), nil
	}
	gone := sources(c.Remove)
	for _, p := range gone {
		if !slices.Contains(old, p) {
			return nil, api.Errorf(api.CodeNotFound, "%s is not in the list: \"ebnet port\" shows it", p)
		}
	}
	left := slices.DeleteFunc(slices.Clone(old), func(p netip.Prefix) bool { return slices.Contains(gone, p) })
	if len(left) == 0 {
		return nil, api.Errorf(api.CodeUnprocessable, "nobody would be left in the list, and a port without one is open: \"--any\" opens it, \"ebnet unpublish\" closes it")
	}
	return left, nil
}
