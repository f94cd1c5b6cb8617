package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ebnet/ebnet/test/bench/stats"
	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
)

// Point is how fast a system is with so much of something, relative to the series' base,
// measured by turns.
type Point struct {
	Count int          `json:"count"`
	Ratio stats.Ratio  `json:"ratio"`
	Pairs []stats.Pair `json:"pairs"` // of the blocks
}

// Series is how connections a second follow the number of something.
type Series struct {
	ID     string  `json:"id"`
	What   string  `json:"what"`
	Base   string  `json:"base"` // what it is relative to
	System string  `json:"system"`
	Points []Point `json:"points"`
	Failed string  `json:"failed,omitempty"`
}

// Once is what is measured for itself: a time or a size.
type Once struct {
	ID    string  `json:"id"`
	What  string  `json:"what"`
	Count int     `json:"count"` // of what it was measured with
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // s or B
}

// Scale grows one ebnet while another stays as it is.
type Scale struct {
	Still, Grown *systems.World // both ebnet
	Docker       *systems.World // docker-nft; nil if it is not there
	Blocks       int
	Slice        time.Duration
	Seed         uint64
	Limit        int // of what is counted; 0: none
	Say          func(format string, args ...any)

	Series []Series
	Once   []Once
}

// The series, by the names that they are asked for.
const (
	SeriesPorts       = "ports"
	SeriesFlows       = "flows"
	SeriesDockerPorts = "docker-ports"
	SeriesContainers  = "containers"
)

// SeriesNames are all series, in the order that they run in.
func SeriesNames() []string {
	return []string{SeriesPorts, SeriesFlows, SeriesDockerPorts, SeriesContainers}
}

// Run runs the named series. What fails of one is in it.
func (s *Scale) Run(ctx context.Context, names []string) {
	for _, row := range []struct {
		name string
		run  func(context.Context, *Series) error
	}{{SeriesPorts, s.ports}, {SeriesFlows, s.flows}, {SeriesDockerPorts, s.dockerPorts}, {SeriesContainers, s.containers}} {
		if !slices.Contains(names, row.name) || ctx.Err() != nil {
			continue
		}
		if row.name == SeriesDockerPorts && s.Docker == nil {
			continue
		}
		series := Series{ID: row.name, System: systems.EbnetName, Base: "an ebnet that stays as it is"}
		if err := row.run(ctx, &series); err != nil {
			series.Failed = err.Error()
			s.Say("FAILED series %s: %v", row.name, err)
		}
		s.Series = append(s.Series, series)
	}
}

func (s *Scale) ebnet() *systems.Ebnet { return s.Grown.System.(*systems.Ebnet) }

// steps are those up to the limit.
func (s *Scale) steps(counts ...int) []int {
	if s.Limit == 0 {
		return counts
	}
	return slices.DeleteFunc(counts, func(n int) bool { return n > s.Limit })
}

// once notes a value.
func (s *Scale) once(id, what string, count int, value float64, unit string) {
	s.Once = append(s.Once, Once{ID: id, What: what, Count: count, Value: value, Unit: unit})
}

// point compares connections a second by the given route with those of the other ebnet.
func (s *Scale) point(ctx context.Context, series *Series, count int, change func(*systems.Route)) error {
	same := func(*systems.Route) {}
	return s.between(ctx, series, count, []side{{s.Grown, change}, {s.Still, same}})
}

// side is a world, and where in it the connections go instead of as usual.
type side struct {
	world  *systems.World
	change func(*systems.Route)
}

// between compares the connections a second of two sides, the first with the second.
func (s *Scale) between(ctx context.Context, series *Series, count int, sides []side) error {
	f := Figure{ID: series.ID, Direction: systems.Published, Mode: tool.CRR}
	random := rand.New(rand.NewPCG(s.Seed, uint64(count)))
	var pairs []stats.Pair
	for range s.Blocks {
		var values [2]float64
		for _, which := range random.Perm(2) {
			if err := ctx.Err(); err != nil {
				return err
			}
			side := sides[which]
			route, _ := side.world.Route(f.Direction)
			side.change(&route)
			slice, err := MeasureRoute(side.world, f, route, s.Slice)
			if err != nil {
				return err
			}
			if slice.Failed != "" {
				return fmt.Errorf("with %d, %s: %s", count, side.world.Name(), slice.Failed)
			}
			values[which] = slice.Value
		}
		pairs = append(pairs, stats.Pair{A: values[0], B: values[1]})
	}
	ratio := stats.Compare(pairs)
	series.Points = append(series.Points, Point{Count: count, Ratio: ratio, Pairs: pairs})
	s.Say("%s: %d, %.3f of %s", series.ID, count, ratio.Median, series.Base)
	return nil
}
