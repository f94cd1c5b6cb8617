package control

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
)

// published makes the datapath publish what is wanted, to whom it is wanted, and
// nothing else.
func (p *pass) published() {
	want := map[store.PublishKey]datapath.Publish{}
	for key, pub := range p.want.publishes {
		entry, known, err := p.want.entry(pub)
		if err != nil {
			p.fail("repair publish", err)
		}
		if !known {
			continue
		}
		want[key] = entry
		if h := pub.HostIP; !h.IsUnspecified() && !h.IsLoopback() && !p.live.addrs[h] {
			p.problem(fmt.Sprintf("%s is published, but the host does not own %s", hostSide(pub), h))
		}
	}
	add, remove, slots, err := p.diffPublished(want)
	if err != nil {
		p.fail("read what is published", err)
		return
	}
	for _, entry := range remove {
		if err := p.fwd.Unpublish(entry); err != nil {
			p.fail("unpublish "+entry.String(), err)
			continue
		}
		p.repaired("publish", entry.String())
	}
	p.allowed(slots)
	var added []datapath.Publish
	for _, key := range add {
		entry, err := p.fwd.Publish(want[key], p.want.publishes[key].Allow)
		if err != nil {
			p.fail("publish "+want[key].String(), err)
			continue
		}
		slots[key] = entry.Slot
		added = append(added, entry)
		p.repaired("publish", entry.String())
	}
	p.endUnanswered(added...)
	p.mu.Lock()
	p.live.publishes = slots
	p.mu.Unlock()
	ports := p.want.ports()
	if err := p.localPorts(ports); err != nil {
		p.fail("read the host's local ports", err)
	}
	changed, err := syncReservedPorts(p.store, p.links, ports)
	if err != nil {
		p.fail("reserve published ports", err)
	}
	if changed {
		p.repaired("sysctl", "ip_local_reserved_ports")
	}
}

// diffPublished is diffPublishes as of now. What was read before Agent.ops was held may
// be older than the last operation: all that differs from what is wanted, or from what
// operations have noted, is read again.
func (p *pass) diffPublished(want map[store.PublishKey]datapath.Publish) (
	add []store.PublishKey, remove []datapath.Publish, slots map[store.PublishKey]uint32, err error,
) {
	add, remove, slots = diffPublishes(p.have.publishes, want)
	if p.first { // there has been no operation
		return add, remove, slots, nil
	}
	for key, slot := range slots {
		if p.live.publishes[key] != slot {
			add = append(add, key)
			delete(slots, key)
		}
	}
	doubtful := map[store.PublishKey]datapath.Publish{}
	for _, key := range add {
		doubtful[key] = want[key]
	}
	now, err := p.fwd.PublishesAt(slices.AppendSeq(remove, maps.Values(doubtful)))
	add, remove, sure := diffPublishes(now, doubtful)
	maps.Copy(slots, sure)
	return add, remove, slots, err
}

// localPorts tells when what is published leaves the host too few ports for its own
// outgoing connections: the kernel's reservation knows no protocol.
func (p *pass) localPorts(published netdev.PortSet) error {
	first, last, err := p.links.LocalPorts()
	if err != nil {
		return err
	}
	var local netdev.PortSet
	local.Add(first, last)
	left := local.Minus(published)
	if left.Len()*10 < local.Len() {
		p.problem(fmt.Sprintf("published ports leave the host %d of %d ports for connections of its own: "+
			"publish others, or widen net.ipv4.ip_local_port_range", left.Len(), local.Len()))
	}
	return nil
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
