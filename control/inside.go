package control

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// inside is what a sandbox's namespace has, as far as it can be told at a glance.
type inside struct {
	links map[string]netdev.LinkInfo
	way   int            // ifindex of the device by which the default route leads, IPv4's first; 0: there is none
	ways  map[family]int // the same for each family
}

// lacks lists what is missing or wrong in a sandbox, for the log; empty: nothing.
func (have inside) lacks(want []netdev.Veth) string {
	var out []string
	note := func(wrong bool, what string) {
		if wrong {
			out = append(out, what)
		}
	}
	note(!have.links["lo"].Up, "lo is down")
	for _, v := range want {
		link, ok := have.links[v.Peer]
		note(!ok, v.Peer+" is not there")
		if !ok {
			continue
		}
		note(!link.Up, v.Peer+" is down")
		note(v.PeerMAC != nil && !bytes.Equal(link.MAC, v.PeerMAC), v.Peer+" has another MAC address")
		note(v.MTU != 0 && link.MTU != v.MTU, v.Peer+" has another MTU")
		for _, p := range v.Addrs {
			note(!slices.Contains(link.Addrs, p), p.String()+" is not on "+v.Peer)
		}
		note(v.Default4 && have.ways[ipv4] == 0, "no default route")
		note(v.Default6 && have.ways[ipv6] == 0, "no default route of IPv6")
	}
	return strings.Join(out, ", ")
}

// lookInside repairs what is wrong in the sandboxes, of which nothing on the
// host's side tells, until done. Operations go on in between.
func (a *Agent) lookInside(done <-chan struct{}) {
	a.lookAtGuests(done)
	a.mu.RLock()
	names := slices.Sorted(maps.Keys(a.want.sandboxes))
	a.mu.RUnlock()
	for _, name := range names {
		select {
		case <-done:
			return
		default:
			a.lookInto(name)
		}
	}
}

// lookInto looks into one sandbox. What it cannot repair it leaves to the next
// reconcile, which tells of it.
func (a *Agent) lookInto(name string) {
	a.ops.Lock()
	defer a.ops.Unlock()
	sb, ok := a.want.sandboxes[name]
	if !ok || a.closed || onHost(sb) {
		return
	}
	look := (&pass{Agent: a}).inside
	if foreign(sb.Owner) {
		look = a.followWay
	}
	if err := look(sb); err != nil {
		a.log.Debug("sandbox not looked into", "sandbox", name, "error", err)
		a.unsure[name] = true
		a.wake()
	}
}

// inside repairs what is wrong in a sandbox. It changes nothing where all is well.
func (p *pass) inside(sb store.Sandbox) error {
	have, err := p.links.Inside(sb.Netns)
	if err != nil {
		return err
	}
	var want []netdev.Veth
	for _, at := range bridged(sb) {
		veth, err := p.veth(sb, at)
		if err != nil {
			return err
		}
		want = append(want, veth)
	}
	lacks := have.lacks(want)
	if lacks == "" && len(want) < 2 {
		return nil // rules, which are not to be seen at a glance, are only between several
	}
	if len(want) == 0 {
		err = p.links.UpLoopback(sb.Netns)
	}
	if err == nil {
		err = p.configure(sb)
	}
	if err == nil && lacks != "" {
		p.repaired("inside", sb.Name+": "+lacks)
	}
	return err
}
