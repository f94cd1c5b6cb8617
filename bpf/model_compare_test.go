package bpf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// compare says what is different.
func (r *modelRun) compare(o outcome, hook modelHook, in []byte, verdict int, got []byte) string {
	if len(r.m.faults) > 0 {
		return r.m.faults[0]
	}
	if verdict != o.verdict {
		return fmt.Sprintf("verdict %d, want %d", verdict, o.verdict)
	}
	if o.counts {
		if n := r.counted(o.reason); n != r.m.counted(o.reason) {
			return fmt.Sprintf("%d drops for %v, want %d", n, o.reason, r.m.counted(o.reason))
		}
	}
	if o.verdict == shot {
		return ""
	}
	want := r.m.frame(o.out)
	copy(want, in[:12])
	if o.to == kernelItself {
		copy(want, r.fib)
	}
	if o.to == outsideWorld && bytes.HasPrefix(got, r.h.nextHop()) {
		copy(want, r.h.nextHop()) // whether it is known is TestNextHop's matter
	}
	if !bytes.Equal(got, want) {
		return fmt.Sprintf("packet\nwant %x", want)
	}
	return ""
}

// chosen reads from what came out, or else from the flow tables, which port was chosen.
func (r *modelRun) chosen(p modelPacket, in, got []byte) uint16 {
	w := r.h.wire(p.packet)
	size := len(w.l4(w.ends()))
	if p.cut > 0 {
		size = min(size, p.cut)
	}
	at := len(in) - size
	if p.proto == icmp {
		at += 4
	}
	if p.nth == 0 && len(got) == len(in) && !bytes.HasPrefix(got, r.fib) {
		return binary.BigEndian.Uint16(got[at:])
	}
	for _, f := range r.h.flows() {
		if r.tupleOf(f.Proto, f.Src, f.Dst) == p.tuple {
			return f.NATSrc.Port()
		}
	}
	return 0
}

// tupleOf is a flow's tuple by the model's names.
func (r *modelRun) tupleOf(proto datapath.Proto, src, dst netip.AddrPort) fiveTuple {
	t := fiveTuple{netip.MustParseAddrPort(r.h.plain(src)), netip.MustParseAddrPort(r.h.plain(dst)), uint8(proto)}
	if t.proto == icmp6 {
		t.proto = icmp
	}
	return t
}

// compareTables compares what is left behind: flows, and counters of drops.
func (r *modelRun) compareTables() {
	r.h.t.Helper()
	for reason := range datapath.DropMTU + 1 {
		if n := r.counted(reason); n != r.m.counted(reason) {
			r.fail(fmt.Sprintf("%d drops for %v, want %d", n, reason, r.m.counted(reason)), nil, nil)
		}
	}
	r.compareCounts()
	r.compareFlows()
}

// compareCounts tells whether packets have reached the container that they were for: the
// test-run does not say where a packet is redirected to.
func (r *modelRun) compareCounts() {
	r.h.t.Helper()
	counters, err := r.h.dp.EndpointCounters()
	r.h.check(err)
	for _, c := range r.m.containers {
		got := counters[c.slot]
		in, out := r.m.counts[modelCount{c.name, datapath.Ingress}], r.m.counts[modelCount{c.name, datapath.Egress}]
		if got.Ingress.Packets != in || got.Egress.Packets != out {
			r.fail(fmt.Sprintf("container %s: counters %+v, want %d packets in and %d out", c.name, got, in, out), nil, nil)
		}
	}
}

func (r *modelRun) compareFlows() {
	r.h.t.Helper()
	want := map[string]int{}
	for _, f := range r.m.flows {
		want[describeFlow(f.kind, f.there.key, f.there.nat, f.state.name())]++
	}
	for _, f := range r.h.flows() {
		s := describeFlow(f.Kind, r.tupleOf(f.Proto, f.Src, f.Dst), r.tupleOf(f.Proto, f.NATSrc, f.NATDst), f.State)
		if want[s]--; want[s] < 0 {
			r.fail("a flow that should not be: "+s+", but those: "+fmt.Sprint(slices.Sorted(maps.Keys(want))), nil, nil)
		}
	}
	for s, n := range want {
		if n > 0 {
			r.fail("a flow that is not there: "+s, nil, nil)
		}
	}
}

func describeFlow(kind datapath.FlowKind, key, nat fiveTuple, state datapath.FlowState) string {
	return fmt.Sprintf("%v %v, translated %v, %v", kind, key, nat, state)
}

func (s modelState) name() datapath.FlowState {
	switch {
	case s.closing():
		return datapath.StateClosing
	case s.established:
		return datapath.StateEstablished
	}
	return datapath.StateNew
}

// counted are the drops for a reason, in either direction.
func (r *modelRun) counted(reason datapath.DropReason) (n uint64) {
	r.h.t.Helper()
	for dir := range uint32(bpf.EbnetDirectionDIRECTIONS) {
		var perCPU []uint64
		r.h.check(r.h.objs.Drops.Lookup(uint32(reason)*uint32(bpf.EbnetDirectionDIRECTIONS)+dir, &perCPU))
		for _, c := range perCPU {
			n += c
		}
	}
	return n
}

func (m *model) counted(reason datapath.DropReason) uint64 {
	return m.drops[modelDrop{reason, datapath.Ingress}] + m.drops[modelDrop{reason, datapath.Egress}]
}
