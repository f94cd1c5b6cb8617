package bpf_test

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"
)

// block is a run of instructions that is entered at its first and left at its last.
type block struct {
	first, end int            // indexes of instructions; end is the first behind it
	at         int            // before which its probe stands; -1: there is no room for one
	scratch    []asm.Register // one or two
	from       []int          // the blocks that lead to it
}

// registers is a set of r0 to r9.
type registers uint16

const (
	arguments = registers(1<<asm.R1 | 1<<asm.R2 | 1<<asm.R3 | 1<<asm.R4 | 1<<asm.R5)
	clobbered = arguments | 1<<asm.R0
)

func set(rs ...asm.Register) (s registers) {
	for _, r := range rs {
		if r <= asm.R9 {
			s |= 1 << r
		}
	}
	return s
}

// access is what an instruction reads and writes of the registers.
func access(ins asm.Instruction) (reads, writes registers, err error) {
	op := ins.OpCode
	class := op.Class()
	src := registers(0)
	switch {
	case class.IsALU() || class.IsJump():
		if op.Source() == asm.RegSource {
			src = set(ins.Src)
		}
	}
	switch {
	case class.IsALU() && op.ALUOp() == asm.Mov:
		return src, set(ins.Dst), nil
	case class.IsALU():
		return src | set(ins.Dst), set(ins.Dst), nil
	case class.IsJump() && op.JumpOp() == asm.Call:
		return arguments, clobbered, nil
	case class.IsJump() && op.JumpOp() == asm.Exit:
		return set(asm.R0), 0, nil
	case class.IsJump() && op.JumpOp() == asm.Ja:
		return 0, 0, nil
	case class.IsJump():
		return src | set(ins.Dst), 0, nil
	case class == asm.LdClass && op.Mode() == asm.ImmMode:
		return 0, set(ins.Dst), nil
	case class == asm.LdXClass:
		return set(ins.Src), set(ins.Dst), nil
	case class == asm.StClass:
		return set(ins.Dst), 0, nil
	case class == asm.StXClass && op.Mode() == asm.AtomicMode:
		return set(ins.Dst, ins.Src, asm.R0), set(ins.Src), nil // with fetch; more than that at most
	case class == asm.StXClass:
		return set(ins.Dst, ins.Src), 0, nil
	}
	return 0, 0, fmt.Errorf("unknown instruction %v", ins)
}

// graph is a program with where each instruction may lead.
type graph struct {
	insns asm.Instructions
	next  [][]int
	entry []bool // first of a function
	dest  []bool // somebody jumps here
}

func newGraph(insns asm.Instructions) (*graph, error) {
	g := &graph{insns: insns, next: make([][]int, len(insns)), entry: make([]bool, len(insns)), dest: make([]bool, len(insns))}
	at := map[asm.RawInstructionOffset]int{}
	var offsets []asm.RawInstructionOffset
	for iter := insns.Iterate(); iter.Next(); {
		at[iter.Offset] = iter.Index
		offsets = append(offsets, iter.Offset)
	}
	for i, ins := range insns {
		g.entry[i] = i == 0 || ins.Symbol() != ""
		op := ins.OpCode
		jump := op.Class().IsJump() && op.JumpOp() != asm.Call
		if jump && op.JumpOp() != asm.Exit {
			to, ok := at[asm.RawInstructionOffset(int64(offsets[i])+1+int64(ins.Offset))]
			if !ok || op.Class() == asm.Jump32Class && op.JumpOp() == asm.Ja {
				return nil, fmt.Errorf("instruction %d: %v leads nowhere", i, ins)
			}
			g.next[i] = append(g.next[i], to)
			g.dest[to] = true
		}
		if !jump || op.JumpOp() != asm.Exit && op.JumpOp() != asm.Ja {
			if i+1 < len(insns) {
				g.next[i] = append(g.next[i], i+1)
			}
		}
	}
	return g, nil
}

// free finds the registers that a probe before each instruction may use: nobody reads
// them any more, or nothing is in them.
func (g *graph) free() ([]registers, error) {
	n := len(g.insns)
	reads, writes := make([]registers, n), make([]registers, n)
	live, filled := make([]registers, n), make([]registers, n)
	for i, ins := range g.insns {
		var err error
		if reads[i], writes[i], err = access(ins); err != nil {
			return nil, err
		}
		if g.entry[i] {
			filled[i] = arguments
		}
	}
	for changed := true; changed; {
		changed = false
		for i := n - 1; i >= 0; i-- {
			var after registers
			for _, to := range g.next[i] {
				after |= live[to]
			}
			if now := reads[i] | after&^writes[i]; now != live[i] {
				live[i], changed = now, true
			}
		}
		for i, ins := range g.insns {
			out := filled[i] | writes[i]
			if ins.OpCode.Class().IsJump() && ins.OpCode.JumpOp() == asm.Call {
				out = filled[i]&^clobbered | set(asm.R0)
			}
			for _, to := range g.next[i] {
				if now := filled[to] | out; now != filled[to] {
					filled[to], changed = now, true
				}
			}
		}
	}
	free := make([]registers, n)
	for i := range free {
		free[i] = ^(live[i] & filled[i])
	}
	return free, nil
}

// blocks cuts the program up, and finds a place for each block's probe.
func (g *graph) blocks() ([]block, error) {
	free, err := g.free()
	if err != nil {
		return nil, err
	}
	var all []block
	for i := range g.insns {
		leads := g.entry[i] || g.dest[i] || len(g.next[i-1]) != 1 || g.next[i-1][0] != i
		if leads {
			all = append(all, block{first: i, at: -1})
		}
		b := &all[len(all)-1]
		b.end = i + 1
		var found []asm.Register
		for r := asm.R0; r <= asm.R9 && len(found) < 2; r++ {
			if free[i]&set(r) != 0 {
				found = append(found, r)
			}
		}
		if len(found) > len(b.scratch) || len(found) > 0 && b.at >= 0 && g.entry[b.at] && len(found) == len(b.scratch) {
			b.at, b.scratch = i, found
		}
	}
	for i, b := range all {
		for _, to := range g.next[b.end-1] {
			j, _ := slices.BinarySearchFunc(all, to, func(b block, at int) int { return b.first - at })
			all[j].from = append(all[j].from, i)
		}
	}
	return all, nil
}

// label names an instruction that somebody jumps to.
func (g *graph) label(i int) string {
	if name := g.insns[i].Symbol(); name != "" {
		return name
	}
	return fmt.Sprintf("to%d", i)
}
