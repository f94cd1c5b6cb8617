package datapath

import (
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// Counter counts packets, segmentation-offload packets as their segments, and
// bytes, IP lengths on the wire.
type Counter struct {
	Packets, Bytes uint64
}

// PathCounter is what the programs decided for a network.
type PathCounter struct {
	Network   uint16 // index
	Direction Direction
	Path      Path
	Counter
}

// EndpointCounter is what the programs saw of an endpoint: all that it sent,
// and what they brought to it themselves.
type EndpointCounter struct {
	Ingress, Egress Counter
}

// DropCounter counts the packets dropped for a reason.
type DropCounter struct {
	Reason    DropReason
	Direction Direction
	Packets   uint64
}

// FlowsCreated counts flows since the tables were made.
type FlowsCreated struct {
	Kind  FlowKind
	Proto string // tcp, udp, icmp or other
	Count uint64
}

// AddrProto is an address that masquerade uses, for one protocol.
type AddrProto struct {
	Addr  netip.Addr
	Proto Proto
}

// FlowStats sums up the flow tables.
type FlowStats struct {
	ByProto   map[Proto]int     // flows
	PortsUsed map[AddrProto]int // outside ports that masquerade holds
	Evicted   uint64            // half-open flows that others pushed out
	Limit     int               // flows that there is room for
}

// PathCounters reads the counters of the networks with these indexes.
func (d *Datapath) PathCounters(networks []uint16) ([]PathCounter, error) {
	var out []PathCounter
	for _, n := range networks {
		for dir := range directions {
			for path := range paths {
				c, err := sumCounter(d.maps.Packets, pathIndex(n, dir, path))
				if err != nil {
					return nil, fmt.Errorf("read counters of network %d: %w", n, err)
				}
				out = append(out, PathCounter{Network: n, Direction: dir, Path: path, Counter: c})
			}
		}
	}
	return out, nil
}

func pathIndex(network uint16, dir Direction, path Path) uint32 {
	return (uint32(network)*uint32(directions)+uint32(dir))*uint32(paths) + uint32(path)
}

// clearPathCounters readies an index for another network.
func (d *Datapath) clearPathCounters(network uint16) error {
	zero := make([]bpf.EbnetCounter, ebpf.MustPossibleCPU())
	for dir := range directions {
		for path := range paths {
			if err := d.maps.Packets.Put(pathIndex(network, dir, path), zero); err != nil {
				return fmt.Errorf("clear counters of network %d: %w", network, err)
			}
		}
	}
	return nil
}

// EndpointCounters reads the counters of all endpoints, by slot.
func (d *Datapath) EndpointCounters() (map[uint32]EndpointCounter, error) {
	eps, err := d.Endpoints()
	if err != nil {
		return nil, err
	}
	out := make(map[uint32]EndpointCounter, len(eps))
	for _, ep := range eps {
		var cpus []bpf.EbnetEndpointCounters
		if err := d.maps.EpCounters.Lookup(ep.Slot, &cpus); err != nil {
			return nil, fmt.Errorf("read counters of endpoint %d: %w", ep.Slot, err)
		}
		var sum EndpointCounter
		for _, c := range cpus {
			sum.Ingress.add(c.Dir[Ingress])
			sum.Egress.add(c.Dir[Egress])
		}
		out[ep.Slot] = sum
	}
	return out, nil
}

// Drops reads the drop counters: every reason, also at 0.
func (d *Datapath) Drops() ([]DropCounter, error) {
	var out []DropCounter
	for reason := range dropReasons {
		for dir := range directions {
			n, err := sum(d.maps.Drops, uint32(reason)*uint32(directions)+uint32(dir))
			if err != nil {
				return nil, fmt.Errorf("read drops: %w", err)
			}
			out = append(out, DropCounter{Reason: reason, Direction: dir, Packets: n})
		}
	}
	return out, nil
}

// FlowsCreated reads how many flows of each kind and protocol were made.
func (d *Datapath) FlowsCreated() ([]FlowsCreated, error) {
	var out []FlowsCreated
	for kind := range flowKinds {
		for proto, name := range flowProtoNames {
			n, err := sum(d.maps.FlowsCreated, uint32(kind)*uint32(len(flowProtoNames))+uint32(proto))
			if err != nil {
				return nil, fmt.Errorf("read created flows: %w", err)
			}
			out = append(out, FlowsCreated{Kind: kind, Proto: name, Count: n})
		}
	}
	return out, nil
}

// PublishFlows reads how many flows each publish has had, by slot.
func (d *Datapath) PublishFlows() (map[uint32]uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make(map[uint32]uint64, len(d.publishes.used))
	for slot := range d.publishes.used {
		var n uint64
		if err := d.maps.PublishFlows.Lookup(slot, &n); err != nil {
			return nil, fmt.Errorf("read flows of publish %d: %w", slot, err)
		}
		out[slot] = n
	}
	return out, nil
}

// PortFailures reads how often masquerade found no port.
func (d *Datapath) PortFailures() (map[Proto]uint64, error) {
	out := map[Proto]uint64{}
	for proto, event := range map[Proto]bpf.EbnetEvent{
		TCP:  bpf.EbnetEventEVENT_MASQ_PORT_TCP,
		UDP:  bpf.EbnetEventEVENT_MASQ_PORT_UDP,
		ICMP: bpf.EbnetEventEVENT_MASQ_PORT_ICMP,
	} {
		n, err := sum(d.maps.Events, uint32(event))
		if err != nil {
			return nil, fmt.Errorf("read masquerade failures: %w", err)
		}
		out[proto] = n
	}
	return out, nil
}

// FlowStats walks the flow tables and sums them up.
func (d *Datapath) FlowStats() (FlowStats, error) {
	type port struct {
		AddrProto
		port uint16
	}
	s := FlowStats{
		ByProto: map[Proto]int{}, PortsUsed: map[AddrProto]int{},
		Limit: int(d.maps.Flows.MaxEntries()) / 2,
	}
	ports := map[port]struct{}{}
	var present uint64
	for _, m := range []*ebpf.Map{d.maps.Flows, d.maps.FlowsNew} {
		for h, err := range elements[bpf.EbnetTuple, bpf.EbnetFlow](m) {
			if err != nil {
				return FlowStats{}, err
			}
			if h.val.Flags&initiator == 0 {
				continue
			}
			present++
			proto := Proto(h.key.Proto)
			if proto == ICMPv6 {
				proto = ICMP // one to people who count, as to the programs
			}
			s.ByProto[proto]++
			if FlowKind(h.val.Kind) == KindMasquerade {
				ports[port{AddrProto{fromAddr(h.val.Nat.Src), proto}, fromPort(h.val.Nat.Sport)}] = struct{}{}
			}
		}
	}
	for p := range ports {
		s.PortsUsed[p.AddrProto]++
	}
	created, ended, err := d.createdEnded()
	s.Evicted = max(created, ended+present) - ended - present
	return s, err
}

// createdEnded says how many flows were made, and how many ended in an orderly
// way; the rest is there still, or was evicted.
func (d *Datapath) createdEnded() (created, ended uint64, err error) {
	all, err := d.FlowsCreated()
	if err != nil {
		return 0, 0, err
	}
	for _, c := range all {
		created += c.Count
	}
	if ended, err = sum(d.maps.Events, uint32(bpf.EbnetEventEVENT_FLOW_ENDED)); err != nil {
		return 0, 0, fmt.Errorf("read ended flows: %w", err)
	}
	return created, ended, nil
}

func (c *Counter) add(raw bpf.EbnetCounter) {
	c.Packets += raw.Packets
	c.Bytes += raw.Bytes
}

// sumCounter adds up one element over all CPUs.
func sumCounter(m *ebpf.Map, key uint32) (c Counter, err error) {
	var cpus []bpf.EbnetCounter
	err = m.Lookup(key, &cpus)
	for _, raw := range cpus {
		c.add(raw)
	}
	return c, err
}

// sum adds up one number over all CPUs.
func sum(m *ebpf.Map, key uint32) (n uint64, err error) {
	var cpus []uint64
	err = m.Lookup(key, &cpus)
	for _, v := range cpus {
		n += v
	}
	return n, err
}
