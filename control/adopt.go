package control

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// ownerDocker owns what Docker has. Names of its things begin with it and a slash.
const ownerDocker = "docker"

// foreign says whether a thing is a container engine's: the agent serves it, but
// never makes, changes or removes it. What is wanted of such things is what their
// engine says, so the kernel is written before the store is.
func foreign(owner string) bool { return owner != "" && owner != ownerEbnet }

// engineName is the name by which people know an engine's thing here.
func engineName(owner, name string) string { return owner + "/" + name }

// shortName is the name by which its engine knows a thing.
func shortName(name string) string { return name[strings.Index(name, "/")+1:] }

// adopted is what the agent knows of an engine's things beside what is wanted of
// them. All of it is guarded by Agent.ops.
type adopted struct {
	world    *engine.World   // the last that the engine told; nil: none since the agent's start
	claims   map[string]bool // the host ports that its containers said are theirs
	problems []string        // what of it is left out, and why
	unsaved  bool            // the store has not all of it
	guests   map[int]guest   // by ifindex
	unnamed  bool            // there are guests whose sandboxes are to be found
}

// Adopt makes what an engine has wanted: the ports that it publishes lead to their
// containers when Adopt returns. What cannot be written is left to a reconcile.
func (a *Agent) Adopt(world engine.World) {
	a.hurry()
	defer a.ops.Unlock()
	if a.closed {
		return
	}
	a.adopted.world = &world
	a.busy.Store(time.Now().UnixNano())
	if a.loaded {
		a.adopt()
		a.wake() // for what can wait: the host's addresses, what has gone
		select {
		case a.news <- struct{}{}:
		default:
		}
	}
}

// adopt makes the last world that the engine told wanted, in the kernel and in
// memory; the store follows. The caller holds a.ops.
func (a *Agent) adopt() {
	if a.adopted.world == nil {
		return
	}
	plan := planAdoption(a.want, *a.adopted.world, circumstances{a.adopted.claims, a.wayOut})
	a.adopted.claims, a.adopted.problems = plan.claims, plan.problems()
	a.adopted.unsaved, a.adopted.unnamed = true, true
	a.tellHeirs(plan)
	if err := a.become(plan.next); err != nil {
		a.log.Error("not all of Docker's is served, reconciling", "error", err)
		a.wake()
	}
}

// become makes another state wanted, and what of it must not wait true. Before the
// first reconcile all of it is left to that, which has an order of its own.
func (a *Agent) become(next desired) error {
	old, ready := a.want, a.ready.Load()
	var err error
	if ready {
		err = a.withdrawChanged(old, next)
	}
	a.registerChanged(old, next)
	a.mu.Lock()
	a.want = next
	a.mu.Unlock()
	if !ready {
		return nil
	}
	err = errors.Join(err, a.enterNetworks(old), a.publishChanged(old))
	a.nameGuests()
	return err
}

// withdrawChanged takes the publishes out of the datapath that are not wanted any
// more, or lead elsewhere.
func (a *Agent) withdrawChanged(old, next desired) error {
	var errs []error
	for key, p := range old.publishes {
		have, known, _ := old.entry(p)
		if !known {
			continue
		}
		if want, known, _ := next.entry(next.publishes[key]); known && want == have {
			continue
		}
		a.log.Debug("withdrawn", "ports", hostSide(p), "sandbox", p.Sandbox)
		errs = append(errs, a.withdrawPublish(p, old.sandboxes[p.Sandbox]))
	}
	return errors.Join(errs...)
}

// publishChanged writes the publishes that were not wanted before, or led elsewhere.
func (a *Agent) publishChanged(old desired) error {
	var errs []error
	var published []datapath.Publish
	for key, p := range a.want.publishes {
		want, known, _ := a.want.entry(p)
		if !known {
			continue
		}
		if have, known, _ := old.entry(old.publishes[key]); known && have == want {
			continue
		}
		a.log.Debug("published", "ports", hostSide(p), "sandbox", p.Sandbox, "to", want.Target)
		err := a.applyPublish(p, &undo{})
		if err == nil {
			published = append(published, want)
		}
		errs = append(errs, err)
	}
	a.endUnanswered(published...)
	return errors.Join(errs...)
}

// registerChanged gives the host ports of publishes that are not wanted any more
// back, and takes those that are new, in the name of whoever has them now. The plan
// has seen to it that they are free.
func (a *Agent) registerChanged(old, next desired) {
	for key, p := range old.publishes {
		if q, ok := next.publishes[key]; !ok || !samePorts(p, q) {
			a.releasePorts(p)
		}
	}
	for key, q := range next.publishes {
		if p, ok := old.publishes[key]; ok && samePorts(p, q) {
			continue
		}
		if err := a.registry.Reserve(registryName(q), q.Proto, q.HostIP, q.HostPort, q.HostPortEnd); err != nil {
			a.log.Error("published twice", "ports", hostSide(q), "error", err)
		}
	}
}

// samePorts says whether two publishes look the same to the registry.
func samePorts(p, q store.Publish) bool {
	return p.Key() == q.Key() && p.HostPortEnd == q.HostPortEnd && p.Sandbox == q.Sandbox
}

// registryName is who holds a publish's ports, for people.
func registryName(p store.Publish) string { return "sandbox " + p.Sandbox }

// enterNetworks tells the datapath of networks that are new, and takes their
// containers in.
func (a *Agent) enterNetworks(old desired) error {
	fresh := slices.DeleteFunc(a.want.networkList(), func(n store.Network) bool {
		before, known := old.networks[n.Name]
		return !foreign(n.Owner) || known && before.ID == n.ID && a.live.bridges[n.Name] != 0
	})
	if len(fresh) == 0 {
		return nil
	}
	links, err := a.linksByName()
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range fresh {
		bridge, ok := links[n.Bridge]
		if !ok || bridge.Kind != "bridge" {
			continue // the reconcile that its coming leads to does the same
		}
		a.setBridge(n.Name, bridge.Index)
		n = a.learnGateway(n, bridge)
		errs = append(errs, a.fwd.PutNetwork(a.networkEntry(n, bridge.Index)), a.takeInPorts(n, bridge, links))
	}
	errs = append(errs, a.setHostAddrs(links)) // the bridges' own, which containers answer
	for _, n := range fresh {
		if bridge, ok := links[n.Bridge]; ok && bridge.Index == a.live.bridges[n.Name] {
			errs = append(errs, a.guardBridge(n, bridge.Index))
		}
	}
	return errors.Join(errs...)
}

// takeInPorts takes in the containers that are on an engine's bridge.
func (a *Agent) takeInPorts(n store.Network, bridge netdev.LinkInfo, links map[string]netdev.LinkInfo) error {
	var errs []error
	for link := range maps.Values(links) {
		if link.Master == bridge.Index && isGuest(link) {
			errs = append(errs, a.takeIn(link, n))
		}
	}
	return errors.Join(errs...)
}
