package bpf_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// A copy of a program that counts how often each of its basic blocks runs, to know what
// one packet's way costs without a clock: a block's instructions all run, or none does.
//
// A probe wants two registers that nobody reads any more; nothing is spilled, and the
// program works as before. Where a block has room for one register only, the probe can
// but note that it ran: it counts as once, so a loop would have to be looked at. Where
// there is room for none, it counts as often as what leads to it, which may be too often.

// counted is a program that counts.
type counted struct {
	insns  asm.Instructions // as compiled
	blocks []block
	counts *ebpf.Map // one element: a u64 for each block
}

// instrument changes a program's spec into one that counts.
func instrument(spec *ebpf.ProgramSpec) (*counted, error) {
	g, err := newGraph(spec.Instructions)
	if err != nil {
		return nil, err
	}
	c := &counted{insns: slices.Clone(spec.Instructions)}
	if c.blocks, err = g.blocks(); err != nil {
		return nil, err
	}
	c.counts, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "counts", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(8 * len(c.blocks)), MaxEntries: 1,
	})
	if err != nil {
		return nil, err
	}
	probes := map[int]int{}
	for i, b := range c.blocks {
		if b.at >= 0 {
			probes[b.at] = i
		}
	}
	var out asm.Instructions
	for i, ins := range g.insns {
		if jumps := g.next[i]; ins.OpCode.Class().IsJump() && ins.OpCode.JumpOp() != asm.Call && len(jumps) > 0 {
			ins = ins.WithReference(g.label(jumps[0]))
			ins.Offset = -1
		}
		name := ins.Symbol()
		if g.dest[i] {
			name = g.label(i)
		}
		if at, ok := probes[i]; ok {
			regs := c.blocks[at].scratch
			load := asm.LoadMapValue(regs[0], c.counts.FD(), uint32(8*at))
			if g.entry[i] { // what is known of the function stands at its first instruction
				load.Metadata = g.insns[i].Metadata
				ins.Metadata = asm.Metadata{}
				if len(g.next[i]) > 0 && ins.Offset == -1 {
					ins = ins.WithReference(g.label(g.next[i][0]))
				}
			}
			out = append(out, load.WithSymbol(name))
			if len(regs) == 2 {
				out = append(out, asm.Mov.Imm(regs[1], 1), asm.StoreXAdd(regs[0], regs[1], asm.DWord))
			} else {
				out = append(out, asm.StoreImm(regs[0], 0, 1, asm.Word))
			}
			name = ""
		}
		out = append(out, ins.WithSymbol(name))
	}
	spec.Instructions = out
	return c, nil
}

// cost is what one packet's way takes.
type cost struct {
	insns   int            // as compiled
	calls   int            // of helpers
	lookups map[string]int // by map
}

// take reads what has been counted, and begins again.
func (c *counted) take() (cost, error) {
	counts := make([]uint64, len(c.blocks))
	if err := c.counts.Lookup(uint32(0), &counts); err != nil {
		return cost{}, err
	}
	if err := c.counts.Put(uint32(0), make([]uint64, len(c.blocks))); err != nil {
		return cost{}, err
	}
	sum := cost{lookups: map[string]int{}}
	for i, b := range c.blocks {
		n := c.times(counts, i)
		sum.insns += n * (b.end - b.first)
		for at := b.first; at < b.end && n > 0; at++ {
			ins := c.insns[at]
			if !ins.IsBuiltinCall() {
				continue
			}
			sum.calls += n
			if ins.Constant == int64(asm.FnMapLookupElem) {
				sum.lookups[c.mapAt(at)] += n
			}
		}
	}
	return sum, nil
}

// times is how often a block has run.
func (c *counted) times(counts []uint64, i int) int {
	b := c.blocks[i]
	switch {
	case b.at >= 0 && len(b.scratch) == 1:
		return int(min(counts[i], 1))
	case b.at >= 0:
		return int(counts[i])
	}
	n := 0
	for _, from := range b.from {
		if from != i {
			n = max(n, c.times(counts, from))
		}
	}
	return n
}

// mapAt is the map in r1 at a call. It is always loaded a few instructions before, in
// the order of the code if not in the same block.
func (c *counted) mapAt(call int) string {
	for i := call - 1; i >= 0; i-- {
		if ins := c.insns[i]; ins.Dst == asm.R1 && ins.OpCode.Class() != asm.StClass && ins.OpCode.Class() != asm.StXClass && !ins.OpCode.Class().IsJump() {
			if ins.IsLoadFromMap() {
				return ins.Reference()
			}
			break
		}
	}
	return "unknown"
}

func (c cost) String() string {
	text := fmt.Sprintf("%d instructions, %d helper calls, look-ups:", c.insns, c.calls)
	for _, name := range slices.Sorted(maps.Keys(c.lookups)) {
		text += fmt.Sprintf(" %s %d", name, c.lookups[name])
	}
	return text
}
