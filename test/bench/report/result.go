// Package report turns what was measured into what is read: a table, a Markdown page with
// plots, and the raw data as JSON.
package report

import (
	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/stats"
	"github.com/ebnet/ebnet/test/bench/systems"
)

// Result is a whole run: all that the report is made of, and the raw data as written.
type Result struct {
	Machine Machine      `json:"machine"`
	Asked   Asked        `json:"asked"`
	Systems []SystemInfo `json:"systems"`
	Figures []run.Figure `json:"figures"`
	Slices  []run.Slice  `json:"slices"`
	Series  []run.Series `json:"series"`
	Once    []run.Once   `json:"once"`
	Costs   []run.Cost   `json:"costs"`
	Notes   []string     `json:"notes"` // what else a reader has to know
}

// Machine is where it ran.
type Machine struct {
	Time   string `json:"time"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Memory uint64 `json:"memory_bytes"`
	Go     string `json:"go"`
	Iperf  string `json:"iperf3"`
}

// Asked is how it ran.
type Asked struct {
	Blocks int     `json:"blocks"`
	Slice  float64 `json:"slice_seconds"`
	Seed   uint64  `json:"seed"`
}

// SystemInfo is a system that was measured, or why it was not.
type SystemInfo struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Skipped string `json:"skipped,omitempty"`
}

// Failures are what the checks have found.
func (r *Result) Failures() []string {
	var out []string
	for _, s := range r.Slices {
		if s.Failed != "" {
			out = append(out, run.Failure(s))
		}
	}
	for _, s := range r.Series {
		if s.Failed != "" {
			out = append(out, s.ID+": "+s.Failed)
		}
	}
	return out
}

// values are a figure's by block, of one system; failed slices do not count.
func (r *Result) values(figure, system string, of func(run.Slice) float64) map[int]float64 {
	out := map[int]float64{}
	for _, s := range r.Slices {
		if s.Figure == figure && s.System == system && s.Failed == "" {
			out[s.Block] = of(s)
		}
	}
	return out
}

func value(s run.Slice) float64 { return s.Value }

// median over blocks of something about a figure.
func (r *Result) median(figure, system string, of func(run.Slice) float64) float64 {
	var all []float64
	for _, v := range r.values(figure, system, of) {
		all = append(all, v)
	}
	return stats.Median(all)
}

// ratio of two systems in one figure.
func (r *Result) ratio(figure, a, b string) stats.Ratio {
	as, bs := r.values(figure, a, value), r.values(figure, b, value)
	var pairs []stats.Pair
	for block := range r.Asked.Blocks {
		pairs = append(pairs, stats.Pair{A: as[block], B: bs[block]})
	}
	return stats.Compare(pairs)
}

// byTime is ratio by the typical time of a transaction instead of their number: what
// else runs on the machine takes CPU from the number, but hardly moves the p50.
func (r *Result) byTime(figure, a, b string) stats.Ratio {
	p50 := func(s run.Slice) float64 { return float64(s.P50) }
	as, bs := r.values(figure, a, p50), r.values(figure, b, p50)
	var pairs []stats.Pair
	for block := range r.Asked.Blocks {
		pairs = append(pairs, stats.Pair{A: bs[block], B: as[block]})
	}
	return stats.Compare(pairs)
}

// noise of a figure: how far ebnet is from itself.
func (r *Result) noise(figure string) float64 {
	return stats.Noise(r.ratio(figure, systems.EbnetAgain, systems.EbnetName))
}

// has says whether a system has values of a figure.
func (r *Result) has(figure, system string) bool {
	return len(r.values(figure, system, value)) > 0
}
