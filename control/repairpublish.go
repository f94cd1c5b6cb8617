package control

import (
	"fmt"
	"slices"

	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// published makes the datapath publish what is wanted, to whom it is wanted, and
// nothing else.
func (p *pass) published() {
	want := map[store.PublishKey]datapath.Publish{}
	for key, pub := range p.want.publishes {
		entry, err := publishEntry(pub, p.want.sandboxes[pub.Sandbox])
		if err != nil {
			p.fail("repair publish", err)
			continue
		}
		want[key] = entry
		if h := pub.HostIP; !h.IsUnspecified() && !h.IsLoopback() && !p.live.addrs[h] {
			p.problem(fmt.Sprintf("%s is published, but the host does not own %s", hostSide(pub), h))
		}
	}
	add, remove, slots := diffPublishes(p.have.publishes, want)
	for _, entry := range remove {
		if err := p.fwd.Unpublish(entry); err != nil {
			p.fail("unpublish "+entry.String(), err)
			continue
		}
		p.repaired("publish", entry.String())
	}
	p.allowed(slots)
	for _, key := range add {
		entry, err := p.fwd.Publish(want[key], p.want.publishes[key].Allow)
		if err != nil {
			p.fail("publish "+want[key].String(), err)
			continue
		}
		slots[key] = entry.Slot
		p.repaired("publish", entry.String())
	}
	p.mu.Lock()
	p.live.publishes = slots
	p.mu.Unlock()
	changed, err := syncReservedPorts(p.store, p.links, p.want.ports())
	if err != nil {
		p.fail("reserve published ports", err)
	}
	if changed {
		p.repaired("sysctl", "ip_local_reserved_ports")
	}
}

// allowed corrects the source lists of what is published already.
func (p *pass) allowed(slots map[store.PublishKey]uint32) {
	for key, slot := range slots {
		pub := p.want.publishes[key]
		have, err := p.fwd.Allowed(slot)
		if err == nil && slices.Equal(have, pub.Allow) {
			continue
		}
		if err == nil {
			err = p.fwd.SetAllowed(slot, pub.Allow)
		}
		if err != nil {
			p.fail("repair source list of "+hostSide(pub), err)
			continue
		}
		p.repaired("allow", hostSide(pub))
	}
}
