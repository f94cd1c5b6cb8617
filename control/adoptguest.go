package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// guest is the host side of an engine's container: a veth on a bridge of the
// engine's. Its address is what the other end says, which is sooner than the engine
// does.
type guest struct {
	link    netdev.LinkInfo
	network string
	addrs   guestAddrs
	number  uint64 // of its namespace, which all its links have in common
	peer    string // name of the other end
	sure    bool   // the other end has told
}

// guestAddrs are the addresses of an engine's container on a network, one of a family at
// most; invalid until the other end has one.
type guestAddrs struct{ v4, v6 netip.Addr }

// known says whether there is one.
func (g guestAddrs) known() bool { return g.v4.IsValid() || g.v6.IsValid() }

func (g guestAddrs) String() string {
	switch {
	case !g.v6.IsValid():
		return g.v4.String()
	case !g.v4.IsValid():
		return g.v6.String()
	}
	return g.v4.String() + " and " + g.v6.String()
}

// meets says whether one of them is another container's, too.
func (g guestAddrs) meets(o guestAddrs) bool {
	return g.v4.IsValid() && g.v4 == o.v4 || g.v6.IsValid() && g.v6 == o.v6
}

// isGuest says whether a port of an engine's bridge is one of its containers, and
// not a sandbox of a network that ebnet has on the same bridge.
func isGuest(link netdev.LinkInfo) bool { return link.Kind == "veth" && !isHostInterface(link.Name) }

// guestNetwork is the engine's network whose bridge a link is a port of.
func (a *Agent) guestNetwork(link netdev.LinkInfo) (store.Network, bool) {
	if link.Master == 0 || !isGuest(link) {
		return store.Network{}, false
	}
	for name, bridge := range a.live.bridges {
		if n := a.want.networks[name]; bridge == link.Master && foreign(n.Owner) {
			return n, true
		}
	}
	return store.Network{}, false
}

// watchLinks begins to take in the engine's containers as they come.
func (a *Agent) watchLinks(ctx context.Context) error {
	if a.engine == nil {
		return nil
	}
	ended, err := netdev.WatchLinks(ctx, a.linkComes)
	if err != nil {
		return err
	}
	go a.followLinks(ctx)
	go func() {
		if err := <-ended; err != nil {
			a.log.Error("link events ended, containers are noticed later", "error", err)
		}
	}()
	return nil
}

// linkEvent takes in an engine's containers as the kernel tells of their links, and
// sees off those that have gone.
func (a *Agent) linkEvent(e netdev.LinkEvent) {
	a.confirm(e)
	if gone := a.noteLink(e); gone {
		a.detachGone(e.Link.Index)
	}
}

// noteLink says whether a container's link is gone, and its program is to go after it.
func (a *Agent) noteLink(e netdev.LinkEvent) (gone bool) {
	a.hurry()
	defer a.ops.Unlock()
	if a.closed || !a.loaded {
		return false
	}
	var err error
	if e.Resync {
		err = a.takeInAll()
	} else if _, known := a.adopted.guests[e.Link.Index]; known && e.Gone {
		a.busy.Store(time.Now().UnixNano())
		if err = a.fwd.DeleteEndpoint(uint32(e.Link.Index)); err == nil {
			a.forgetGuest(e.Link.Index)
			gone = true
		}
	} else if n, ok := a.guestNetwork(e.Link); ok && !e.Gone {
		a.busy.Store(time.Now().UnixNano())
		err = a.takeIn(e.Link, n)
	} else if e.Gone {
		a.lane.forget(e.Link.Index)
	}
	a.nameGuests()
	if err != nil {
		a.log.Debug("link not served, reconciling", "link", e.Link.Name, "error", err)
		a.wake()
	}
	return gone
}

// takeInAll takes in all containers that are there.
func (a *Agent) takeInAll() error {
	links, err := a.links.Links()
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		if n, ok := a.guestNetwork(link); ok {
			errs = append(errs, a.takeIn(link, n))
		}
	}
	return errors.Join(errs...)
}

// takeIn serves one container's link: it gets the program as soon as it is on the
// bridge, which lets nothing pass before the datapath knows the address, and its
// entry as soon as the other end is up. Where both can be had at once, as on a
// container that runs already, the entry comes first, so that no packet is lost.
func (a *Agent) takeIn(link netdev.LinkInfo, n store.Network) error {
	g := a.adopted.guests[link.Index]
	if !g.sure || link.NetnsID >= 0 { // an event may be of before the other end was moved
		g.link = link
	}
	g.network = n.Name
	var failed error
	arr := a.lane.take(link.Index)
	switch {
	case g.sure || !link.Carrier:
	case arr.named && arr.guest.network == n.Name && !g.addrs.known():
		g.addrs, g.peer, g.number, g.sure = arr.guest.addrs, arr.guest.peer, arr.guest.number, true
	default:
		failed = a.ask(&g, n)
	}
	a.adopted.guests[link.Index] = g
	if g.addrs.known() {
		failed = errors.Join(failed, a.enterGuest(g, n))
	}
	if arr.attached {
		a.hooked[link.Index] = true
	}
	if !a.hooked[link.Index] {
		failed = errors.Join(failed, a.hook(a.programs.AttachContainer, link.Index))
	}
	return failed
}

// enterGuest tells the datapath of a container's endpoint.
func (a *Agent) enterGuest(g guest, n store.Network) error {
	entry := g.entry(n)
	if a.live.endpoints[g.link.Name].entry == entry {
		return nil
	}
	written, err := a.fwd.PutEndpoint(entry)
	if err != nil {
		return err
	}
	a.log.Debug("container taken in", "link", g.link.Name, "network", n.Name, "address", g.addrs)
	a.setLive(g.link.Name, liveEndpoint{network: n.Name, ifindex: g.link.Index, slot: written.Slot, entry: entry})
	a.adopted.unnamed = true
	return nil
}

// seeOff forgets a container's link that is gone, or is no port of the engine's
// bridges any more.
func (a *Agent) seeOff(ifindex int) error {
	if err := errors.Join(a.fwd.DeleteEndpoint(uint32(ifindex)), a.unhook(ifindex)); err != nil {
		return err
	}
	a.forgetGuest(ifindex)
	return nil
}

// forgetGuest forgets what the kernel does not have any more.
func (a *Agent) forgetGuest(ifindex int) {
	g := a.adopted.guests[ifindex]
	a.lane.forget(ifindex)
	delete(a.adopted.guests, ifindex)
	a.adopted.unnamed = true
	if a.live.endpoints[g.link.Name].ifindex == ifindex {
		a.forgetLive(g.link.Name)
	}
}

// ask reads the address of a link's other end. It is no error that there is none.
func (a *Agent) ask(g *guest, n store.Network) error {
	peer, err := a.links.PeerOf(g.link)
	if errors.Is(err, netdev.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if addrs := chooseAddresses(n, g.addrs, peer.Addrs); addrs != g.addrs {
		if err := a.yield(g.link.Index, n, addrs); err != nil {
			return err
		}
	}
	g.learn(n, peer)
	return nil
}

// yield makes sure that no other container of a network has one of the addresses. One that
// has gone, of which the kernel has not told yet, is seen off.
func (a *Agent) yield(ifindex int, n store.Network, addrs guestAddrs) error {
	for other, g := range a.adopted.guests {
		if other == ifindex || g.network != n.Name || !g.addrs.meets(addrs) {
			continue
		}
		links, err := a.links.Links()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(links, func(l netdev.LinkInfo) bool { return l.Index == other }) {
			return fmt.Errorf("the container behind %s has the address %s", g.link.Name, addrs)
		}
		if err := a.seeOff(other); err != nil {
			return err
		}
	}
	return nil
}

// chooseAddresses are the addresses that an endpoint has on a network.
func chooseAddresses(n store.Network, known guestAddrs, addrs []netip.Prefix) guestAddrs {
	return guestAddrs{chooseAddress(ipv4, n, known.v4, addrs), chooseAddress(ipv6, n, known.v6, addrs)}
}

// chooseAddress is the address of a family that an endpoint has on a network: the one that
// it is known by for as long as it has that, so that nobody takes another's by adding it.
func chooseAddress(f family, n store.Network, known netip.Addr, addrs []netip.Prefix) netip.Addr {
	var first netip.Addr
	for _, p := range addrs {
		inside := slices.ContainsFunc(n.Subnets, func(s store.Subnet) bool { return s.Prefix.Contains(p.Addr()) })
		switch {
		case !f.hasAddr(p) || !inside:
		case p.Addr() == known:
			return known
		case !first.IsValid():
			first = p.Addr()
		}
	}
	return first
}

// lookAtGuests asks the other ends again, for an address can change without a word
// to the host, until done. Operations go on in between.
func (a *Agent) lookAtGuests(done <-chan struct{}) {
	a.ops.Lock()
	known := slices.Sorted(maps.Keys(a.adopted.guests))
	a.ops.Unlock()
	for _, ifindex := range known {
		select {
		case <-done:
			return
		default:
			a.lookAtGuest(ifindex)
		}
	}
}

func (a *Agent) lookAtGuest(ifindex int) {
	a.ops.Lock()
	defer a.ops.Unlock()
	g, ok := a.adopted.guests[ifindex]
	if !ok || a.closed {
		return
	}
	g.sure = false
	a.adopted.guests[ifindex] = g
	err := a.takeIn(g.link, a.want.networks[g.network])
	a.nameGuests()
	if err != nil {
		a.log.Debug("container not asked", "link", g.link.Name, "error", err)
	}
}
