package datapath

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// Publish leads host ports to a container's ports.
type Publish struct {
	Slot        uint32 // in the arrays of generations and counters; chosen by Publish
	Proto       Proto
	Host        netip.Addr // unspecified: all of the host's addresses of that family
	HostPort    uint16
	HostPortEnd uint16     // the last port of a range, or HostPort
	Target      netip.Addr // zero: nowhere, the ports are only kept from others
	Port        uint16     // where HostPort leads; those after it follow one by one
	Held        bool       // a socket of an engine holds the ports: programs refuse them to nobody
}

// Publish makes the ports reachable, all of them or none, for the sources that
// allow lists or, where it is empty, for anyone. It fills Slot. The error wraps
// ErrExists or ErrFull.
func (d *Datapath) Publish(p Publish, allow []netip.Prefix) (_ Publish, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()

	if p.Slot, err = d.publishes.allocate(); err != nil {
		return Publish{}, fmt.Errorf("publish %s: %w", p, err)
	}
	done := int(p.HostPort) // the first port that is not written yet
	defer func() {
		if err != nil {
			err = fmt.Errorf("publish %s: %w", p, err)
			for port := int(p.HostPort); port < done; port++ {
				err = errors.Join(err, d.deletePort(p, uint16(port)))
			}
			err = errors.Join(err, d.setAllowed(p.Slot, nil))
			d.publishes.release(p.Slot)
		}
	}()
	if err = d.maps.PublishFlows.Put(p.Slot, uint64(0)); err != nil {
		return Publish{}, err
	}
	if err = d.setAllowed(p.Slot, allow); err != nil {
		return Publish{}, err
	}
	for port := int(p.HostPort); port <= int(p.HostPortEnd); port++ {
		if err = d.putPort(p, uint16(port)); err != nil {
			return Publish{}, err
		}
		done = port + 1
	}
	return p, nil
}

func (d *Datapath) putPort(p Publish, port uint16) error {
	val := bpf.EbnetPublish{
		Addr: toAddr(p.Target), Port: toPort(p.Port + port - p.HostPort), Slot: p.Slot,
	}
	if p.Held {
		val.Flags = uint16(bpf.EbnetPublishFlagPUBLISH_HELD)
	}
	err := d.maps.Publishes.Update(p.key(port), val, ebpf.UpdateNoExist)
	if errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("port %d: %w", port, ErrExists)
	}
	if err != nil || p.Held {
		return full(err)
	}
	if err := d.reserve(p.Proto, port, +1); err != nil {
		return errors.Join(err, d.maps.Publishes.Delete(p.key(port)))
	}
	return nil
}

// deletePort undoes putPort; a port that is not there is no error.
func (d *Datapath) deletePort(p Publish, port uint16) error {
	var had bpf.EbnetPublish
	err := d.maps.Publishes.LookupAndDelete(p.key(port), &had)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	if err != nil || held(had) {
		return err
	}
	return d.reserve(p.Proto, port, -1)
}

func held(p bpf.EbnetPublish) bool {
	return p.Flags&uint16(bpf.EbnetPublishFlagPUBLISH_HELD) != 0
}

// portIndex is where the array of reserved ports has a port.
func portIndex(proto Proto, port uint16) uint32 {
	switch proto {
	case UDP:
		return 1<<16 | uint32(port)
	case SCTP:
		return 2<<16 | uint32(port)
	}
	return uint32(port)
}

// reserve counts the publishes that hold a port, on whatever address.
func (d *Datapath) reserve(proto Proto, port uint16, by int) error {
	key := portIndex(proto, port)
	var n uint32
	if err := d.maps.Reserved.Lookup(key, &n); err != nil {
		return err
	}
	return d.maps.Reserved.Put(key, uint32(int(n)+by))
}

// Unpublish ends what Publish began: no new connection with the first write,
// and no packet of an old one. It is no error if a port is not there.
func (d *Datapath) Unpublish(p Publish) error {
	d.mu.Lock()
	defer d.mu.Unlock()

	var have bpf.EbnetPublish
	err := d.maps.Publishes.Lookup(p.key(p.HostPort), &have)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("unpublish %s: %w", p, err)
	}
	if err == nil {
		if err := d.endPublish(have.Slot); err != nil {
			return fmt.Errorf("unpublish %s: %w", p, err)
		}
	}
	for port := int(p.HostPort); port <= int(p.HostPortEnd); port++ {
		if err := d.deletePort(p, uint16(port)); err != nil {
			return fmt.Errorf("unpublish %s: %w", p, err)
		}
	}
	// A packet that met the port before it went may have made one more flow.
	if err == nil {
		if err := d.endPublish(have.Slot); err != nil {
			return fmt.Errorf("unpublish %s: %w", p, err)
		}
		if err := d.setAllowed(have.Slot, nil); err != nil {
			return fmt.Errorf("unpublish %s: %w", p, err)
		}
		d.publishes.release(have.Slot)
	}
	return nil
}

// endPublish turns a publish's flows dead with one write.
func (d *Datapath) endPublish(slot uint32) error {
	var life bpf.EbnetPublishSlot
	if err := d.maps.PublishSlots.Lookup(slot, &life); err != nil {
		return err
	}
	life.Gen++
	return d.maps.PublishSlots.Put(slot, life)
}

// Publishes lists what the programs know, ports of one publish joined again. With many
// ports that takes a while, and holds up nobody: of what is published or ended
// meanwhile all may be seen, a part or nothing.
func (d *Datapath) Publishes() ([]Publish, error) {
	var ports []onePort
	for port, err := range elements[bpf.EbnetPublishKey, bpf.EbnetPublish](d.maps.Publishes) {
		if err != nil {
			return nil, err
		}
		if len(ports) == cap(ports) {
			ports = slices.Grow(ports, max(1024, len(ports))) // append would make five times the garbage
		}
		ports = append(ports, port)
	}
	return joinPorts(ports), nil
}

// PublishesAt is Publishes for the host ports of some publishes alone, whoever has them.
func (d *Datapath) PublishesAt(places []Publish) ([]Publish, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := map[bpf.EbnetPublishKey]bool{}
	var ports []onePort
	for _, p := range places {
		for port := int(p.HostPort); port <= int(p.HostPortEnd); port++ {
			key := p.key(uint16(port))
			if seen[key] {
				continue
			}
			seen[key] = true
			var val bpf.EbnetPublish
			err := d.maps.Publishes.Lookup(key, &val)
			if err == nil {
				ports = append(ports, onePort{key, val})
			} else if !errors.Is(err, ebpf.ErrKeyNotExist) {
				return nil, fmt.Errorf("look up %s: %w", p, err)
			}
		}
	}
	return joinPorts(ports), nil
}

// onePort is what the programs know of a port.
type onePort = element[bpf.EbnetPublishKey, bpf.EbnetPublish]

// joinPorts makes ranges of neighbouring ports of one slot.
func joinPorts(ports []onePort) []Publish {
	order := func(p onePort) uint64 { return uint64(p.val.Slot)<<16 | uint64(fromPort(p.key.Port)) }
	slices.SortFunc(ports, func(a, b onePort) int { return cmp.Compare(order(a), order(b)) })
	var out []Publish
	for _, p := range ports {
		port := fromPort(p.key.Port)
		if n := len(out); n > 0 && out[n-1].Slot == p.val.Slot && out[n-1].HostPortEnd+1 == port {
			out[n-1].HostPortEnd = port
			continue
		}
		out = append(out, firstPort(p))
	}
	return out
}

// firstPort is a publish of one port, which others may follow.
func firstPort(p onePort) Publish {
	port, host := fromPort(p.key.Port), fromAddr(p.key.Addr)
	if !host.IsValid() {
		host = netip.IPv6Unspecified() // here all zero does not mean none
	}
	return Publish{
		Slot: p.val.Slot, Proto: Proto(p.key.Proto), Host: host, HostPort: port, HostPortEnd: port,
		Target: fromAddr(p.val.Addr), Port: fromPort(p.val.Port), Held: held(p.val),
	}
}

func (p Publish) key(port uint16) bpf.EbnetPublishKey {
	return bpf.EbnetPublishKey{Addr: toAddr(p.Host), Port: toPort(port), Proto: uint8(p.Proto)}
}

// String is the host side, such as 0.0.0.0:8000-8010/tcp.
func (p Publish) String() string {
	s := netip.AddrPortFrom(p.Host, p.HostPort).String()
	if p.HostPortEnd != p.HostPort {
		s += fmt.Sprintf("-%d", p.HostPortEnd)
	}
	return s + "/" + p.Proto.String()
}
