package datapath

import (
	"fmt"
	"iter"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/bpf"
)

// Flow is one translated conversation. Src and Dst are as the initiator sent
// them, NATSrc and NATDst as they were sent on; ICMP echo has its identifier in
// place of the source's port.
type Flow struct {
	Proto          Proto
	Src, Dst       netip.AddrPort
	NATSrc, NATDst netip.AddrPort
	Kind           FlowKind
	State          FlowState
	Endpoint       uint32 // slot
	Publish        uint32 // slot; 0: none
	Age, Idle      time.Duration
	Packets, Bytes uint64 // both directions, best effort
}

const initiator = uint8(bpf.EbnetFlowFlagFLOW_INITIATOR)

// Flows walks the flows that live, established ones first. Those that come or
// go meanwhile may be seen or not.
func (d *Datapath) Flows() iter.Seq2[Flow, error] {
	return func(yield func(Flow, error) bool) {
		alive, err := d.lives()
		if err != nil {
			yield(Flow{}, err)
			return
		}
		now := tickNow()
		for _, m := range []*ebpf.Map{d.maps.Flows, d.maps.FlowsNew} {
			for half, err := range elements[bpf.EbnetTuple, bpf.EbnetFlow](m) {
				if err == nil && (half.val.Flags&initiator == 0 || !alive.has(half.val)) {
					continue
				}
				if !yield(d.describe(m, half, now), err) || err != nil {
					return
				}
			}
		}
	}
}

func (d *Datapath) describe(m *ebpf.Map, h half, now uint32) Flow {
	f := h.val
	idle := since(f.Seen, now)
	packets, bytes := f.Packets, f.Bytes
	var back bpf.EbnetFlow
	if m.Lookup(reverse(f.Nat), &back) == nil {
		packets, bytes = packets+back.Packets, bytes+back.Bytes
		idle = min(idle, since(back.Seen, now))
	}
	return Flow{
		Proto: Proto(h.key.Proto),
		Src:   fromAddrPort(h.key.Src, h.key.Sport), Dst: fromAddrPort(h.key.Dst, h.key.Dport),
		NATSrc: fromAddrPort(f.Nat.Src, f.Nat.Sport), NATDst: fromAddrPort(f.Nat.Dst, f.Nat.Dport),
		Kind: FlowKind(f.Kind), State: stateOf(f.State), Endpoint: uint32(f.Endpoint), Publish: f.Publish,
		Age: since(f.Created, now), Idle: idle,
		Packets: packets, Bytes: bytes,
	}
}

// Tick is the unit of the programs' clock, which counts since boot.
const Tick time.Duration = 1 << 26

// tickNow reads that clock.
func tickNow() uint32 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // cannot fail on Linux
	}
	return ticks(time.Duration(ts.Nano()))
}

func ticks(d time.Duration) uint32 { return uint32(d / Tick) }

// since is the time between two readings of that clock; another CPU's may have
// been a tick ahead.
func since(then, now uint32) time.Duration {
	return time.Duration(max(0, int32(now-then))) * Tick
}

// half is one element of a flow table.
type half = element[bpf.EbnetTuple, bpf.EbnetFlow]

// lives holds the generations of this moment.
type lives struct {
	endpoints map[uint32]uint32
	publishes map[uint32]uint32
}

// lives reads the generations of the slots in use; a slot that is not in use
// has no flow that lives.
func (d *Datapath) lives() (lives, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := lives{endpoints: map[uint32]uint32{}, publishes: map[uint32]uint32{}}
	for slot := range d.endpoints.used {
		gen, err := d.generation(slot)
		if err != nil {
			return l, fmt.Errorf("read generation of endpoint %d: %w", slot, err)
		}
		l.endpoints[slot] = gen
	}
	for slot := range d.publishes.used {
		var s bpf.EbnetPublishSlot
		if err := d.maps.PublishSlots.Lookup(slot, &s); err != nil {
			return l, fmt.Errorf("read generation of publish %d: %w", slot, err)
		}
		l.publishes[slot] = s.Gen
	}
	return l, nil
}

func (l lives) has(f bpf.EbnetFlow) bool {
	if FlowKind(f.Kind) == KindHost {
		return true
	}
	gen, ok := l.endpoints[uint32(f.Endpoint)]
	if !ok || gen != f.EndpointGen {
		return false
	}
	if f.Publish == 0 {
		return true
	}
	gen, ok = l.publishes[f.Publish]
	return ok && gen == f.PublishGen
}

// Swept is what a sweep of the flow tables did.
type Swept struct {
	Visited int // halves looked at
	Ended   int // flows removed
}

// Sweep removes the flows that have aged or whose endpoint or publish is gone.
func (d *Datapath) Sweep() (Swept, error) {
	return d.runSweep(bpf.EbnetSweep{Match: uint32(bpf.EbnetSweepMatchSWEEP_AGED)})
}

// EndEndpointFlows ends the flows of an endpoint and says how many.
func (d *Datapath) EndEndpointFlows(slot uint32) (int, error) {
	s, err := d.runSweep(bpf.EbnetSweep{Match: uint32(bpf.EbnetSweepMatchSWEEP_ENDPOINT), Endpoint: slot})
	return s.Ended, err
}

// EndPublishFlows ends the flows of one host port of a publish, or of all its
// ports with 0, and says how many.
func (d *Datapath) EndPublishFlows(slot uint32, hostPort uint16) (int, error) {
	s, err := d.runSweep(bpf.EbnetSweep{
		Match: uint32(bpf.EbnetSweepMatchSWEEP_PUBLISH), Publish: slot, Port: toPort(hostPort),
	})
	return s.Ended, err
}

// EndAllFlows ends every flow and says how many.
func (d *Datapath) EndAllFlows() (int, error) {
	s, err := d.runSweep(bpf.EbnetSweep{Match: uint32(bpf.EbnetSweepMatchSWEEP_ALL)})
	return s.Ended, err
}

// runSweep walks the flow tables inside the kernel.
func (d *Datapath) runSweep(in bpf.EbnetSweep) (Swept, error) {
	d.sweeping.Lock()
	defer d.sweeping.Unlock()
	_, err := d.sweep.Run(&ebpf.RunOptions{Context: &in, ContextOut: &in})
	if err != nil {
		return Swept{}, fmt.Errorf("sweep flows: %w", err)
	}
	return Swept{Visited: int(in.Visited), Ended: int(in.Ended)}, nil
}
