package control

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/api"
)

// Status tells how the agent is and whether the kernel is as it should be.
func (a *Agent) Status(context.Context) (api.Status, error) {
	status := api.Status{Version: a.opt.Version.Version, Ready: a.ready.Load()}
	if !status.Ready {
		return status, nil
	}
	a.mu.RLock()
	problems := append(slices.Clone(a.problems), a.engineProblems()...)
	status.Engines = a.engines()
	names := map[int]string{}
	hooks := map[int][]string{} // that a device must have
	for _, u := range a.live.uplinks {
		status.Uplinks = append(status.Uplinks, api.Uplink{Name: u.name, Addresses: u.addrs})
		names[u.ifindex], hooks[u.ifindex] = u.name, []string{"ingress", "egress"}
	}
	for name, ep := range a.live.endpoints {
		names[ep.ifindex], hooks[ep.ifindex] = name, []string{"ingress"}
	}
	for network, ifindex := range a.live.bridges {
		names[ifindex] = a.want.networks[network].Bridge
	}
	sockets := a.live.sockets
	status.Networks = len(a.want.networks) + 2 // and the two that are built in
	status.Endpoints = len(a.live.endpoints)
	exposed := false
	for _, p := range a.want.publishes {
		if !a.want.leads(p) {
			continue
		}
		status.Published += int(p.HostPortEnd) - int(p.HostPort) + 1
		exposed = exposed || p.HostIP.IsUnspecified() && len(p.Allow) == 0
	}
	a.mu.RUnlock()

	attached, err := a.programs.Attached()
	if err != nil {
		return status, err
	}
	has := map[string]bool{}
	for _, at := range attached {
		name, ok := names[at.Ifindex]
		switch {
		case at.Ifindex == 0:
			name = "cgroup"
			sockets--
		case !ok:
			name = fmt.Sprintf("device %d", at.Ifindex)
		}
		status.Programs = append(status.Programs, api.Program{Hook: at.Hook, Device: name, Program: at.Program, ID: at.ID})
		has[hookKey(at.Ifindex, afterSlash(at.Hook))] = true
	}
	for ifindex, wanted := range hooks {
		for _, hook := range wanted {
			if !has[hookKey(ifindex, hook)] {
				problems = append(problems, fmt.Sprintf("no program at %s of %s", hook, names[ifindex]))
			}
		}
	}
	if sockets > 0 {
		problems = append(problems, fmt.Sprintf("%d socket programs are missing: the host may not reach published ports", sockets))
	}
	lost, err := a.programs.Lost()
	if err != nil {
		return status, err
	}
	if n := len(lost.Pins); n > 0 {
		problems = append(problems, fmt.Sprintf("%d pins are gone (%s): what they hold would end with the agent", n, someOf(lost.Pins)))
	}
	if len(problems) > 0 {
		a.wake()
	}
	if exposed {
		problems = append(problems, a.firewallProblem()...)
	}
	slices.Sort(problems)
	status.Problems = slices.Compact(problems)
	return status, a.usage(&status)
}

// someOf names a few where there may be a thousand.
func someOf(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:few], ", ") + ", ..."
}

func hookKey(ifindex int, direction string) string { return fmt.Sprintf("%d/%s", ifindex, direction) }

// usage fills in how full the tables are.
func (a *Agent) usage(status *api.Status) error {
	flows, err := a.fwd.FlowStats()
	if err != nil {
		return err
	}
	for _, n := range flows.ByProto {
		status.Flows += n
	}
	status.FlowsLimit = flows.Limit
	maps, err := a.fwd.MapUsage()
	if err != nil {
		return err
	}
	for _, m := range maps {
		status.Maps = append(status.Maps, api.Map{Name: m.Name, Entries: m.Entries, Limit: m.Limit, Bytes: m.Bytes})
	}
	return nil
}

// firewallProblem warns of ports that are open although the host's firewall
// closes all by default: published ports do not pass it.
func (a *Agent) firewallProblem() []string {
	denies, by, err := a.firewall()
	if err != nil {
		return []string{fmt.Sprintf("the host's firewall cannot be read: %v", err)}
	}
	if !denies {
		return nil
	}
	return []string{fmt.Sprintf("the host's firewall denies by default (%s), but ports published on all addresses do not pass it: publish them on one address where they should not be open to all", by)}
}
