package control

import (
	"context"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// linkComes is handed to netdev.WatchLinks.
func (a *Agent) linkComes(e netdev.LinkEvent) {
	a.hasten(e)
	a.lane.push(e)
}

// followLinks does with Agent.ops held what events of links ask for, one after the
// other.
func (a *Agent) followLinks(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.lane.more:
		}
		for _, e := range a.lane.pop() {
			a.linkEvent(e)
		}
	}
}

// hasten does for a container's link what its first packet needs, and takes the entry
// of one that is gone away. What it cannot do is left to linkEvent, which does all of it
// again where it was not done.
func (a *Agent) hasten(e netdev.LinkEvent) {
	defer a.gate.leave()
	if !a.gate.enter() || e.Resync {
		return
	}
	ifindex := e.Link.Index
	a.mu.RLock()
	n, ok := a.guestNetwork(e.Link)
	served := a.live.endpoints[e.Link.Name].ifindex == ifindex
	a.mu.RUnlock()
	_, known := a.lane.arrived(ifindex)
	switch {
	case e.Gone && (known || served && isGuest(e.Link)):
		a.lane.begin(ifindex)
		a.leave(ifindex)
		return
	case e.Gone, !ok, served:
		return
	}
	first := a.lane.begin(ifindex)
	if e.Link.Carrier {
		a.hastenEntry(e.Link, n)
	}
	if first {
		go a.hastenProgram(ifindex)
	}
}

// hastenProgram attaches a link's program, which others must not have to wait for.
func (a *Agent) hastenProgram(ifindex int) {
	defer a.gate.leave()
	if !a.gate.enter() || a.programs.AttachContainer(ifindex) != nil {
		return
	}
	a.lane.note(ifindex, func(arr *arrival) { arr.attached = !arr.taken && !arr.gone })
}

// hastenEntry writes the endpoint of a link whose other end has just come up.
func (a *Agent) hastenEntry(link netdev.LinkInfo, n store.Network) {
	arr, _ := a.lane.arrived(link.Index)
	if arr.guest.sure {
		return
	}
	g := guest{link: link, network: n.Name}
	addrs, err := a.links.PeerAddrs(link)
	if err != nil {
		return
	}
	g.learn(n, netdev.LinkInfo{Addrs: addrs})
	if !g.sure || a.lane.taken(link.Index, n.Name, g) || a.isServed(g) {
		return
	}
	if _, err := a.fwd.PutEndpoint(g.entry(n)); err != nil {
		return
	}
	a.lane.note(link.Index, func(arr *arrival) { arr.guest = g })
}

// confirm asks about a link that has its entry already for what takes longer. The entry
// may even be of another container's address, if the link's namespace has ended and its
// number is in use again: noteLink sees to that, too.
func (a *Agent) confirm(e netdev.LinkEvent) {
	arr, _ := a.lane.arrived(e.Link.Index)
	if e.Gone || !e.Link.Carrier || !arr.guest.sure || arr.named {
		return
	}
	a.mu.RLock()
	n, ok := a.guestNetwork(e.Link)
	a.mu.RUnlock()
	g := guest{link: e.Link, network: n.Name}
	if peer, err := a.links.PeerOf(e.Link); err == nil && ok {
		g.learn(n, peer)
	}
	a.lane.note(e.Link.Index, func(arr *arrival) {
		if !arr.gone {
			arr.guest, arr.named = g, g.sure
		}
	})
}

// arriving says whether a link has come by the lane and has not gone.
func (a *Agent) arriving(ifindex int) bool {
	_, known := a.lane.arrived(ifindex)
	return known
}

// isServed says whether another link has a container's address already.
func (a *Agent) isServed(g guest) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, ep := range a.live.endpoints {
		if ep.network != g.network || ep.ifindex == g.link.Index || !g.addrs.meets(addrsOf(ep.entry)) {
			continue
		}
		if arr, _ := a.lane.arrived(ep.ifindex); !arr.gone { // of which Agent.live has not been told
			return true
		}
	}
	return false
}

// leave takes away the entry of a link that is gone.
func (a *Agent) leave(ifindex int) {
	if err := a.fwd.DeleteEndpoint(uint32(ifindex)); err != nil {
		a.log.Debug("entry not deleted, reconciling", "ifindex", ifindex, "error", err)
	}
	a.lane.note(ifindex, func(arr *arrival) { *arr = arrival{gone: true} })
}

// learn takes over what a container's other end says.
func (g *guest) learn(n store.Network, peer netdev.LinkInfo) {
	g.addrs = chooseAddresses(n, g.addrs, peer.Addrs)
	g.peer, g.sure = peer.Name, g.addrs.v4.IsValid() || g.addrs.v6.IsValid() && !ipv4.servedBy(n)
	g.number = uint64(g.link.NetnsID) + 1 // the kernel's number; 0 stands for none
}

// entry is a container's endpoint as the datapath is to know it.
func (g *guest) entry(n store.Network) datapath.Endpoint {
	return datapath.Endpoint{Ifindex: uint32(g.link.Index), Addr4: g.addrs.v4, Addr6: g.addrs.v6, Network: n.Index, Sandbox: g.number}
}

// addrsOf are the addresses of an endpoint in the datapath.
func addrsOf(entry datapath.Endpoint) guestAddrs { return guestAddrs{entry.Addr4, entry.Addr6} }

// detachGone removes what is left of the program of a device that is gone. It waits for
// the kernel, so Agent.ops is not held.
func (a *Agent) detachGone(ifindex int) {
	open := a.gate.enter()
	var err error
	if open {
		err = a.programs.Detach(ifindex)
	}
	a.gate.leave()
	if err != nil {
		a.log.Debug("not detached, reconciling", "ifindex", ifindex, "error", err)
		a.wake()
	}
	if !open || err != nil {
		return
	}
	a.ops.Lock()
	defer a.ops.Unlock()
	delete(a.hooked, ifindex)
}

// awaitQuiet waits while containers come and go, for whom a reconcile would be in the
// way: but not for ever, nor for long.
func (a *Agent) awaitQuiet(done <-chan struct{}, most time.Duration) {
	const quiet = 300 * time.Millisecond
	for began := time.Now(); time.Since(began) < most; {
		rest := quiet - time.Since(time.Unix(0, a.busy.Load()))
		if rest <= 0 {
			return
		}
		select {
		case <-done:
			return
		case <-time.After(rest):
		}
	}
}
