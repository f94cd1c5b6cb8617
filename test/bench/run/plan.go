package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ebnet/ebnet/test/bench/systems"
)

// Plan says what to measure of which worlds.
type Plan struct {
	Worlds  []*systems.World
	Figures []Figure
	Blocks  int
	Slice   time.Duration
	Seed    uint64 // of the order
	Say     func(format string, args ...any)
}

// overhead is what a slice costs beside its length: two processes, and the checks.
const overhead = 200 * time.Millisecond

// fewest blocks say anything at all.
const fewest = 4

// slices is how many there are in all blocks; long of them are at least a second.
func (p *Plan) slices() (all, long int) {
	for _, f := range p.Figures {
		for _, w := range p.Worlds {
			if _, ok := w.Route(f.Direction); !ok {
				continue
			}
			for block := range p.Blocks {
				if !f.In(block) {
					continue
				}
				if all++; f.Mode == modeIperf {
					long++
				}
			}
		}
	}
	return all, long
}

// Fit chooses the slices' length so that all blocks take about as long as given. Where the
// shortest are too long, there are fewer blocks.
func (p *Plan) Fit(total time.Duration) {
	all, long := p.slices()
	if all == 0 {
		return
	}
	left := total - time.Duration(all)*overhead
	p.Slice = left / time.Duration(all)
	if p.Slice < time.Second && all > long { // whole seconds for streams leave less to others
		p.Slice = (left - time.Duration(long)*time.Second) / time.Duration(all-long)
	}
	p.Slice = min(max(p.Slice, 200*time.Millisecond), 4*time.Second).Round(50 * time.Millisecond)
	for p.Blocks > fewest && p.Length() > total {
		p.Blocks--
	}
}

// Length is how long all blocks take, about.
func (p *Plan) Length() time.Duration {
	all, long := p.slices()
	return time.Duration(all)*(p.Slice+overhead) + time.Duration(long)*max(0, time.Second-p.Slice)
}

// Run measures block after block. Within one, figures come in random order, and of each
// figure all systems, in random order too, one right after the other.
func (p *Plan) Run(ctx context.Context) ([]Slice, error) {
	random := rand.New(rand.NewPCG(p.Seed, 0))
	var all []Slice
	start := time.Now()
	for block := range p.Blocks {
		for _, f := range random.Perm(len(p.Figures)) {
			figure := p.Figures[f]
			if !figure.In(block) {
				continue
			}
			for _, w := range random.Perm(len(p.Worlds)) {
				if err := ctx.Err(); err != nil {
					return all, err
				}
				s, ok, err := Measure(p.Worlds[w], figure, p.Slice)
				if err != nil {
					s.Failed = err.Error()
				}
				if !ok {
					continue
				}
				s.Block = block
				all = append(all, s)
				if s.Failed != "" {
					p.Say("FAILED %s", Failure(s))
				}
			}
		}
		left := time.Since(start) / time.Duration(block+1) * time.Duration(p.Blocks-block-1)
		p.Say("block %d of %d, about %v left", block+1, p.Blocks, left.Round(time.Second))
	}
	return all, nil
}

// Failure says what a slice's checks have found, and where.
func Failure(s Slice) string {
	return fmt.Sprintf("block %d, %s, %s: %s", s.Block+1, s.Figure, s.System, s.Failed)
}
