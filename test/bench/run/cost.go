package run

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/test/bench/systems"
)

// Cost is what a program takes for a packet, as the kernel itself counts it while one
// figure runs.
type Cost struct {
	System  string        `json:"system"`
	Figure  string        `json:"figure"`
	Program string        `json:"program"`
	Runs    uint64        `json:"runs"`
	Each    time.Duration `json:"each_ns"` // counting it included: some 20 ns
}

// Costs measures the programs of the worlds that have any, during the figures given. It
// is a run of its own: counting slows programs down.
func Costs(worlds []*systems.World, figures []Figure, length time.Duration) ([]Cost, error) {
	counting, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return nil, fmt.Errorf("have the kernel count run times: %w", err)
	}
	defer counting.Close()
	var all []Cost
	for _, w := range worlds {
		programmed, ok := w.System.(systems.Programmed)
		if !ok {
			continue
		}
		for _, f := range figures {
			costs, err := costsOf(w, programmed, f, length)
			if err != nil {
				return all, err
			}
			all = append(all, costs...)
		}
	}
	return all, nil
}

func costsOf(w *systems.World, s systems.Programmed, f Figure, length time.Duration) (all []Cost, err error) {
	var ids []ebpf.ProgramID
	if err := w.Do(func() { ids = s.Programs() }); err != nil {
		return nil, err
	}
	before := make([]ebpf.ProgramStats, len(ids))
	programs := make([]*ebpf.Program, len(ids))
	for i, id := range ids {
		if programs[i], err = ebpf.NewProgramFromID(id); err != nil {
			return nil, fmt.Errorf("open program %d: %w", id, err)
		}
		defer programs[i].Close()
		stats, err := programs[i].Stats()
		if err != nil {
			return nil, fmt.Errorf("read statistics of program %d: %w", id, err)
		}
		before[i] = *stats
	}
	if _, ok, err := Measure(w, f, length); !ok || err != nil {
		return nil, err
	}
	for i, p := range programs {
		stats, err := p.Stats()
		if err != nil {
			return nil, fmt.Errorf("read statistics of program %d: %w", ids[i], err)
		}
		info, err := p.Info()
		if err != nil {
			return nil, fmt.Errorf("read program %d: %w", ids[i], err)
		}
		runs := stats.RunCount - before[i].RunCount
		if runs < 100 { // another figure's
			continue
		}
		all = append(all, Cost{
			System: w.Name(), Figure: f.ID, Program: info.Name, Runs: runs,
			Each: (stats.Runtime - before[i].Runtime) / time.Duration(runs),
		})
	}
	return all, nil
}
