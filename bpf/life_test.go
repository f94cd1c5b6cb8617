package bpf_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// establish walks a TCP connection from container A to the server through its
// handshake.
func (h *host) establish(client, outsidePort, server string) {
	h.t.Helper()
	ctr, ext := h.objs.EbnetFromCtr, h.objs.EbnetFromExt
	h.walk(
		step{"SYN", ctr, h.ctrA, tcpPacket(client, server, syn), redirect, tcpPacket(outsidePort, server, 0), 0},
		step{"SYN-ACK", ext, h.ext, tcpPacket(server, outsidePort, syn|ack), redirect, tcpPacket(server, client, 0), 0},
		step{"ACK", ctr, h.ctrA, tcpPacket(client, server, ack), redirect, tcpPacket(outsidePort, server, 0), 0},
	)
}

// tableSizes counts the halves in the two flow tables.
func (h *host) tableSizes() (established, fresh int) {
	h.t.Helper()
	var (
		key bpf.EbnetTuple
		val bpf.EbnetFlow
	)
	it := h.objs.Flows.Iterate()
	for it.Next(&key, &val) {
		established++
	}
	h.check(it.Err())
	it = h.objs.FlowsNew.Iterate()
	for it.Next(&key, &val) {
		fresh++
	}
	h.check(it.Err())
	return established, fresh
}

func (h *host) wantSizes(what string, established, fresh int) {
	h.t.Helper()
	if e, f := h.tableSizes(); e != established || f != fresh {
		h.t.Fatalf("%s: %d halves established and %d new, want %d and %d", what, e, f, established, fresh)
	}
}

// halfOpen is what the programs say of half-open TCP flows.
type halfOpen struct {
	Count   int64
	Spilled uint64
}

// halfOpen sets how many half-open flows the programs believe to be in the main table,
// and returns what they said.
func (h *host) halfOpen(n int64) (before halfOpen) {
	h.t.Helper()
	h.check(h.objs.HalfOpen.Lookup(uint32(0), &before))
	h.check(h.objs.HalfOpen.Put(uint32(0), halfOpen{n, before.Spilled}))
	return before
}

// spilledSince turns the clock of what was spilled back.
func (h *host) spilledSince(seconds uint64) {
	h.t.Helper()
	before := h.halfOpen(0)
	if before.Spilled != 0 {
		before.Spilled -= seconds * uint64(time.Second) / uint64(datapath.Tick)
	}
	h.check(h.objs.HalfOpen.Put(uint32(0), before))
}

// While many flows are half-open, another one begins where a flood may evict it, and
// moves when the initiator has answered the responder.
func TestPromotion(t *testing.T) {
	for _, row := range []struct {
		halfOpen int64
		flows    int // halves in the main table before it is established
	}{{0, 2}, {1<<16 - 1, 2}, {1 << 16, 0}} {
		h := newHost(t)
		h.halfOpen(row.halfOpen)
		client, port, server := addrA+":5000", hostIP+":5000", outside+":443"
		ctr, ext := h.objs.EbnetFromCtr, h.objs.EbnetFromExt
		h.walk(step{"SYN", ctr, h.ctrA, tcpPacket(client, server, syn), redirect, tcpPacket(port, server, 0), 0})
		h.wantSizes("after SYN", row.flows, 2-row.flows)
		if n, want := h.halfOpen(row.halfOpen), row.halfOpen+int64(row.flows/2); n.Count != want || (n.Spilled != 0) != (row.flows == 0) {
			t.Errorf("after SYN: %+v half-open, want %d", n, want)
		}
		h.halfOpen(row.halfOpen + int64(row.flows/2))
		h.walk(step{"SYN-ACK", ext, h.ext, tcpPacket(server, port, syn|ack), redirect, tcpPacket(server, client, 0), 0})
		h.walk(step{"SYN again", ctr, h.ctrA, tcpPacket(client, server, syn), redirect, tcpPacket(port, server, 0), 0})
		h.wantSizes("after a repeated SYN", row.flows, 2-row.flows)
		h.walk(step{"ACK", ctr, h.ctrA, tcpPacket(client, server, ack), redirect, tcpPacket(port, server, 0), 0})
		h.wantSizes("after ACK", 2, 0)
		if flows := h.flows(); len(flows) != 1 || flows[0].State != datapath.StateEstablished {
			t.Errorf("flows %+v, want one, established", flows)
		}
		if n := h.halfOpen(0); n.Count != row.halfOpen {
			t.Errorf("after ACK: %+v half-open flows, want %d", n, row.halfOpen)
		}
		for range 2 { // of the same second it may not be all
			_, err := h.dp.Sweep()
			h.check(err)
			h.spilledSince(2)
		}
		if n := h.halfOpen(0); n.Spilled != 0 {
			t.Errorf("after a sweep: %+v half-open flows, want none spilled", n)
		}
	}
}

// A half-open flow that ends makes room for another, and what was lost count of is
// counted again by the sweep.
func TestHalfOpenIsCounted(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.establish(addrA+":5000", hostIP+":5000", outside+":443")
		for _, from := range []string{"5001", "5002"} {
			h.open(h.objs.EbnetFromCtr, h.ctrA, tcpPacket(addrA+":"+from, outside+":443", syn))
		}
		if n := h.halfOpen(100); n.Count != 2 {
			t.Errorf("%+v half-open flows, want 2", n)
		}
		_, err := h.dp.Sweep()
		h.check(err)
		if n := h.halfOpen(2); n.Count != 2 {
			t.Errorf("after a sweep: %+v half-open flows, want 2", n)
		}
		_, err = h.dp.EndAllFlows()
		h.check(err)
		if n := h.halfOpen(0); n.Count != 0 {
			t.Errorf("after the end: %+v half-open flows, want 0", n)
		}
	})
}

// A new connection over the five-tuple of one that has ended (RFC 6191) is a
// new flow; over one that lives it is the old flow's packet.
func TestTupleIsUsedAgain(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		client, port, server := addrA+":5000", hostIP+":5000", outside+":443"
		ctr, ext := h.objs.EbnetFromCtr, h.objs.EbnetFromExt
		h.establish(client, port, server)
		h.walk(step{"SYN into a living one", ctr, h.ctrA, tcpPacket(client, server, syn), redirect, tcpPacket(port, server, 0), 0})
		h.wantSizes("after a SYN into a living one", 2, 0)
		h.walk(
			step{"FIN", ctr, h.ctrA, tcpPacket(client, server, fin|ack), redirect, tcpPacket(port, server, 0), 0},
			step{"its FIN", ext, h.ext, tcpPacket(server, port, fin|ack), redirect, tcpPacket(server, client, 0), 0},
		)
		h.establish(client, port, server)
		h.wantSizes("after a second connection", 2, 0)
		if flows := h.flows(); len(flows) != 1 || flows[0].State != datapath.StateEstablished {
			t.Fatalf("flows %+v, want one, established", flows)
		}
	})
}

// A connection that has ended is over for the next SYN's sake alone: where that is
// refused, or finds its flow's other port taken, nothing of the old one is used.
func TestReopenedElsewhere(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		p := h.publish(datapath.TCP, "0.0.0.0", 8080, addrA, 80)
		client, published, web := outside+":5000", hostIP+":8080", addrA+":80"
		ctr, ext := h.objs.EbnetFromCtr, h.objs.EbnetFromExt
		connect := []step{
			{"SYN", ext, h.ext, tcpPacket(client, published, syn), redirect, tcpPacket(client, web, 0), 0},
			{"SYN-ACK", ctr, h.ctrA, tcpPacket(web, client, syn|ack), redirect, tcpPacket(published, client, 0), 0},
			{"ACK", ext, h.ext, tcpPacket(client, published, ack), redirect, tcpPacket(client, web, 0), 0},
			{"FIN", ext, h.ext, tcpPacket(client, published, fin|ack), redirect, tcpPacket(client, web, 0), 0},
			{"its FIN", ctr, h.ctrA, tcpPacket(web, client, fin|ack), redirect, tcpPacket(published, client, 0), 0},
		}
		h.walk(connect...)
		h.check(h.dp.SetAllowed(p.Slot, []netip.Prefix{netip.MustParsePrefix("192.0.2.77/32")}))
		h.walk(
			step{"SYN, not allowed", ext, h.ext, tcpPacket(client, published, syn), shot, packet{}, datapath.DropNotAllowed},
			step{"ACK of it", ext, h.ext, tcpPacket(client, published, ack), pass, packet{}, 0},
		)
		h.check(h.dp.SetAllowed(p.Slot, nil))
		before := h.flows()[0]
		h.walk(connect...)
		h.wantSizes("after a second connection", 2, 0)
		if f := h.flows()[0]; f.Packets != before.Packets {
			t.Errorf("the second connection has %d packets, the first had %d", f.Packets, before.Packets)
		}
	})
}

// Datagrams that nobody answers find their flow with the first look-up after a few, and
// make no more than their room full.
func TestOneWay(t *testing.T) {
	for _, room := range []bool{true, false} {
		h := newHost(t)
		if !room {
			h.halfOpen(1 << 16)
		}
		log := step{"log", h.objs.EbnetFromCtr, h.ctrA, udpPacket(addrA+":5000", outside+":514"), redirect, udpPacket(hostIP+":5000", outside+":514"), 0}
		for range 15 {
			h.walk(log)
		}
		h.wantSizes("after 15 packets", 0, 2)
		h.walk(log, log)
		if !room {
			h.wantSizes("without room", 0, 2)
			continue
		}
		h.wantSizes("after 17 packets", 2, 0)
		_, err := h.dp.Sweep()
		h.check(err)
		if n := h.halfOpen(1); n.Count != 1 {
			t.Errorf("%+v half-open flows, want 1", n)
		}
		h.walk(step{"answer", h.objs.EbnetFromExt, h.ext, udpPacket(outside+":514", hostIP+":5000"), redirect, udpPacket(outside+":514", addrA+":5000"), 0}, log)
		if n := h.halfOpen(0); n.Count != 0 {
			t.Errorf("after a conversation: %+v half-open flows, want 0", n)
		}
	}
}

// An RST alone ends nothing: it may be a stranger's guess. Data afterwards show
// that it was not believed.
func TestRSTIsNotBelieved(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		client, port, server := addrA+":5000", hostIP+":5000", outside+":443"
		ctr, ext := h.objs.EbnetFromCtr, h.objs.EbnetFromExt
		h.establish(client, port, server)
		h.walk(step{"RST", ext, h.ext, tcpPacket(server, port, rst), redirect, tcpPacket(server, client, 0), 0})
		if flows := h.flows(); len(flows) != 1 || flows[0].State != datapath.StateClosing {
			t.Fatalf("after RST: flows %+v, want one, closing", flows)
		}
		h.walk(step{"data", ctr, h.ctrA, tcpPacket(client, server, ack), redirect, tcpPacket(port, server, 0), 0})
		if flows := h.flows(); len(flows) != 1 || flows[0].State != datapath.StateEstablished {
			t.Fatalf("after data: flows %+v, want one, established", flows)
		}
	})
}

// The table of half-open flows may evict one half: the other is of no use, and
// the next packet of the initiator makes both anew.
func TestEvictedHalf(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		client, port, server := addrA+":5000", hostIP+":5000", outside+":443"
		ctr := h.objs.EbnetFromCtr
		again := step{"again", ctr, h.ctrA, udpPacket(client, server), redirect, udpPacket(port, server), 0}
		for _, initiator := range []bool{true, false} {
			h.walk(again)
			var (
				key bpf.EbnetTuple
				val bpf.EbnetFlow
			)
			it := h.objs.FlowsNew.Iterate()
			for it.Next(&key, &val) {
				if (val.Flags&uint8(bpf.EbnetFlowFlagFLOW_INITIATOR) != 0) == initiator {
					h.check(h.objs.FlowsNew.Delete(key))
					break
				}
			}
			h.age(2) // a half this old is not being made on another CPU
			h.walk(again)
			h.walk(step{
				"answer", h.objs.EbnetFromExt, h.ext, udpPacket(server, port), redirect, udpPacket(server, client), 0,
			})
			_, err := h.dp.EndAllFlows()
			h.check(err)
			h.wantSizes("after the end", 0, 0)
		}
	})
}

// A flow whose container is gone holds its outside port no longer.
func TestDeadFlowsFreeTheirPort(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		port, server := hostIP+":5000", outside+":443"
		h.establish(addrA+":5000", port, server)
		h.check(h.dp.DeleteEndpoint(uint32(h.ctrA.Index)))
		h.walk(
			step{"answer", h.objs.EbnetFromExt, h.ext, tcpPacket(server, port, ack), pass, packet{}, 0},
			step{"SYN of another", h.objs.EbnetFromCtr, h.ctrB, tcpPacket(addrB+":5000", server, syn), redirect, tcpPacket(port, server, 0), 0},
		)
	})
}

func TestSweep(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		server := outside + ":443"
		p := h.publish(datapath.TCP, "0.0.0.0", 8080, addrB, 80)
		h.establish(addrA+":5000", hostIP+":5000", server)
		h.walk(
			step{"UDP", h.objs.EbnetFromCtr, h.ctrA, udpPacket(addrA+":5001", server), redirect, udpPacket(hostIP+":5001", server), 0},
			step{"SYN", h.objs.EbnetFromExt, h.ext, tcpPacket(outside+":9", hostIP+":8080", syn), redirect, tcpPacket(outside+":9", addrB+":80", 0), 0},
		)
		swept, err := h.dp.Sweep()
		h.check(err)
		if swept.Ended != 0 || swept.Visited != 6 {
			t.Fatalf("sweep of fresh flows: %+v, want 6 visited, none ended", swept)
		}
		h.age(239) // less than UDP's 300 s
		swept, err = h.dp.Sweep()
		h.check(err)
		if swept.Ended != 0 {
			t.Fatalf("sweep at 239 s: %+v, want none ended", swept)
		}
		h.age(62)
		swept, err = h.dp.Sweep()
		h.check(err)
		if swept.Ended != 2 {
			t.Fatalf("sweep at 301 s: %+v, want the UDP and the half-open flow ended", swept)
		}
		h.wantSizes("at 301 s", 2, 0)
		h.age(7140)
		swept, err = h.dp.Sweep()
		h.check(err)
		if swept.Ended != 1 {
			t.Fatalf("sweep at 7441 s: %+v, want the established flow ended", swept)
		}
		h.wantSizes("at 7441 s", 0, 0)
		n, err := h.dp.EndPublishFlows(p.Slot, 0)
		h.check(err)
		if n != 0 {
			t.Fatalf("%d flows of the publish ended, want none left", n)
		}
		stats, err := h.dp.FlowStats()
		h.check(err)
		if stats.Evicted != 0 {
			t.Fatalf("%d flows count as evicted, want none", stats.Evicted)
		}
	})
}

// age turns the clock of every flow back.
func (h *host) age(seconds uint32) {
	h.t.Helper()
	ticks := uint32(time.Duration(seconds) * time.Second / datapath.Tick)
	for _, m := range []*ebpf.Map{h.objs.Flows, h.objs.FlowsNew} {
		all := map[bpf.EbnetTuple]bpf.EbnetFlow{}
		var (
			key bpf.EbnetTuple
			val bpf.EbnetFlow
		)
		it := m.Iterate()
		for it.Next(&key, &val) {
			all[key] = val
		}
		h.check(it.Err())
		for key, val := range all {
			val.Seen -= ticks
			val.Created -= ticks
			h.check(m.Put(key, val))
		}
	}
}
