package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
)

// flows measures connections while the table holds more and more others. They are copies
// of a real one, written as the programs would: a million real ones would want a million
// sockets at each end.
func (s *Scale) flows(ctx context.Context, series *Series) error {
	series.What = "connections a second while so many flows are established"
	client := s.ebnet().Client()
	defer client.Close()
	// what earlier figures have left
	if _, err := client.FlushFlows(ctx, api.FlowsFlush{All: true}); err != nil {
		return err
	}
	f := Figure{ID: series.ID, Direction: systems.Published, Mode: tool.RR}
	if _, _, err := Measure(s.Grown, f, s.Slice); err != nil { // leaves a flow to copy
		return err
	}
	table, err := ebpf.LoadPinnedMap(filepath.Join(s.ebnet().Agent.Pins(), "v1", "maps", "flows"), nil)
	if err != nil {
		return err
	}
	defer table.Close()
	pattern, err := findPattern(table)
	if err != nil {
		return err
	}
	empty, err := memoryOf(table)
	if err != nil {
		return err
	}
	have := 0
	for _, count := range s.steps(1, 100000, 1000000) {
		// the rest is for the connections that are measured
		if room := int(table.MaxEntries()) * 9 / 20; count > room {
			s.Say("the flow table has room for %d flows: %d stand for %d", table.MaxEntries()/2, room, count)
			count = room
		}
		if err := pattern.fill(ctx, table, have, count); err != nil {
			return err
		}
		have = count
		if err := s.point(ctx, series, count, func(*systems.Route) {}); err != nil {
			return err
		}
	}
	full, err := memoryOf(table)
	if err != nil {
		return err
	}
	s.once("flows.memory", fmt.Sprintf("the flow table with %d flows", have), have, float64(full), "B")
	s.once("flows.memory.empty", "the flow table when empty", 0, float64(empty), "B")
	_, err = client.FlushFlows(ctx, api.FlowsFlush{All: true})
	return err
}

func memoryOf(table *ebpf.Map) (uint64, error) {
	info, err := table.Info()
	if err != nil {
		return 0, err
	}
	bytes, ok := info.Memlock()
	if !ok {
		return 0, errors.New("the kernel does not say how much memory a map takes")
	}
	return bytes, nil
}

// flowPattern is an established flow of a published port, both halves.
type flowPattern struct {
	keys   [2]bpf.EbnetTuple // the initiator's first
	values [2]bpf.EbnetFlow
}

func findPattern(table *ebpf.Map) (*flowPattern, error) {
	var p flowPattern
	entries := table.Iterate()
	for entries.Next(&p.keys[0], &p.values[0]) {
		v := p.values[0]
		if v.Kind != uint8(bpf.EbnetFlowKindKIND_PUBLISH) || v.Flags&uint8(bpf.EbnetFlowFlagFLOW_INITIATOR) == 0 || v.Nat.Proto != 6 {
			continue
		}
		n := v.Nat
		p.keys[1] = bpf.EbnetTuple{Src: n.Dst, Dst: n.Src, Sport: n.Dport, Dport: n.Sport, Proto: n.Proto}
		if err := table.Lookup(&p.keys[1], &p.values[1]); err != nil {
			return nil, fmt.Errorf("find the flow's other half: %w", err)
		}
		for i := range p.values {
			p.values[i].State = uint8(bpf.EbnetFlowStateSTATE_REPLIED | bpf.EbnetFlowStateSTATE_ESTABLISHED)
		}
		return &p, nil
	}
	return nil, errors.Join(errors.New("no flow of a published port is established"), entries.Err())
}

// copy is the pattern with another client: number n of a documentation network's worth of
// addresses and ports.
func (p flowPattern) copy(n int) flowPattern {
	port := uint16(n%60000 + 1024)
	client := p.keys[0].Src
	client.W[3] = 0x0a000000 | uint32(n/60000+1) // some address; its byte order does not matter
	p.keys[0].Src, p.keys[0].Sport = client, port
	p.values[0].Nat.Src, p.values[0].Nat.Sport = client, port
	p.keys[1].Dst, p.keys[1].Dport = client, port
	p.values[1].Nat.Dst, p.values[1].Nat.Dport = client, port
	return p
}

// fill writes the flows from..to.
func (p flowPattern) fill(ctx context.Context, table *ebpf.Map, from, to int) error {
	const batch = 10000
	for from < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		var keys []bpf.EbnetTuple
		var values []bpf.EbnetFlow
		for ; from < to && len(keys) < batch; from++ {
			c := p.copy(from)
			keys, values = append(keys, c.keys[:]...), append(values, c.values[:]...)
		}
		if _, err := table.BatchUpdate(keys, values, nil); err != nil {
			return fmt.Errorf("write flows: %w", err)
		}
	}
	return nil
}
