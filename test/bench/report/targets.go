package report

import (
	"fmt"

	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/stats"
	"github.com/ebnet/ebnet/test/bench/systems"
)

// Target is what ebnet should reach. Must makes it useful, aim makes it lead.
type Target struct {
	What      string
	Must, Aim float64
	Unit      string // none: a ratio, and more is better; else less is better
	find      func(*Result) found
}

// found is what a run says about a target.
type found struct {
	value float64
	ratio stats.Ratio // zero for what is measured once
	on    string      // which of several comparisons it was
}

// Targets are all of them, in the order of the report.
func Targets() []Target {
	docker := []string{systems.DockerNft, systems.DockerLegacy}
	allRR := []string{"published.rr", "masquerade.rr", "c2c.rr", "published.tcp1.up", "published.tcp1.down", "published.tcp4.up", "published.tcp4.down", "c2c.tcp1", "c2c.tcp4"}
	return []Target{
		{What: "container→container RR / raw veth", Must: 0.93, Aim: 0.96, find: worst([]string{"c2c.rr"}, systems.RawVethName)},
		{What: "container→container RR / Docker bridge", Must: 1.20, Aim: 1.30, find: worst([]string{"c2c.rr"}, docker...)},
		{What: "published RR / Docker iptables", Must: 1.24, Aim: 1.32, find: worst([]string{"published.rr"}, docker...)},
		{What: "published CRR / Docker iptables, 1 port", Must: 1.30, Aim: 1.40, find: worst([]string{"published.crr"}, docker...)},
		{What: "published CRR / Docker iptables, 10,000 ports, the last one", Must: 3, Aim: 10, find: dockerPorts},
		{What: "published CRR / nftables map", Must: 1.15, Aim: 1.28, find: worst([]string{"published.crr"}, systems.NftMapName)},
		{What: "masquerade RR, CRR / Docker iptables", Must: 1.24, Aim: 1.32, find: worst([]string{"masquerade.rr", "masquerade.crr"}, docker...)},
		{What: "published or c2c single-stream throughput / Docker", Must: 1.05, Aim: 1.2, find: best([]string{"published.tcp1.up", "published.tcp1.down", "c2c.tcp1"}, docker...)},
		{What: "any RR or throughput / null-BPF", Must: 0.96, Aim: 0.985, find: worst(allRR, systems.NullBPFName)},
		{What: "any CRR / null-BPF", Must: 0.93, Aim: 0.97, find: worst([]string{"published.crr", "masquerade.crr", "c2c.crr"}, systems.NullBPFName)},
		{What: "CRR at 100,000 ports / at 1 port", Must: 0.95, Aim: 0.98, find: lastPoint(run.SeriesPorts, 100000)},
		{What: "localhost RR / host networking", Must: 0.87, Aim: 0.90, find: worst([]string{"localhost.rr"}, systems.LoopbackName)},
		{What: "localhost RR / docker-proxy", Must: 1.8, Aim: 2.2, find: worst([]string{"localhost.rr"}, systems.DockerProxy)},
		{What: "UDP 64-byte packets per second / Docker", Must: 1.4, Aim: 2, find: worst([]string{"published.udp"}, docker...)},
		{What: "publish p99 with 100,000 ports in place", Must: 5e-3, Aim: 1e-3, Unit: "s", find: once("publish.p99", 100000)},
		{What: "publish a range of 10,000 ports", Must: 2, Aim: 0.3, Unit: "s", find: once("publish.bulk", 10000)},
		{What: "agent memory for 10,000 ports", Must: 20e6, Aim: 5e6, Unit: "B", find: once("publish.bulk.memory", 10000)},
		{What: "1,000 sandboxes created and attached", Must: 60, Aim: 30, Unit: "s", find: once("sandboxes", 1000)},
		{What: "1,000,000 flows: memory", Must: 450e6, Aim: 380e6, Unit: "B", find: once("flows.memory", 1000000)},
		{What: "1,000,000 flows: CRR / CRR when empty", Must: 0.9, Aim: 0.95, find: lastPoint(run.SeriesFlows, 1000000)},
	}
}

// Standing is how a target stands after a run.
type Standing string

const (
	MetAim      Standing = "met (aim)"
	MetMust     Standing = "met (must)"
	NotMet      Standing = "not met"
	NotMeasured Standing = "not measured"
)

// Stand holds a run against a target: its median counts.
func (t Target) Stand(r *Result) (Standing, string) {
	f := t.find(r)
	if f.value == 0 && f.on == "" {
		return NotMeasured, ""
	}
	text := t.text(f)
	reaches := func(limit float64) bool {
		if t.Unit == "" {
			return f.value >= limit
		}
		return f.value <= limit
	}
	switch {
	case reaches(t.Aim):
		return MetAim, text
	case reaches(t.Must):
		return MetMust, text
	}
	return NotMet, text
}

func (t Target) text(f found) string {
	if t.Unit != "" {
		return quantity(f.value, t.Unit) + " (" + f.on + ")"
	}
	text := fmt.Sprintf("%s (%s)", interval(f.ratio), f.on)
	for _, limit := range []float64{t.Aim, t.Must} {
		if f.ratio.Low < limit && limit < f.ratio.High {
			return fmt.Sprintf("%s; the interval spans %g", text, limit)
		}
	}
	return text
}

// worst finds the lowest ratio of ebnet to any of the others in any of the figures: a
// target that names several is met by all of them or not at all.
func worst(figures []string, others ...string) func(*Result) found {
	return pick(figures, others, func(a, b float64) bool { return a < b })
}

// best finds the highest.
func best(figures []string, others ...string) func(*Result) found {
	return pick(figures, others, func(a, b float64) bool { return a > b })
}

func pick(figures, others []string, better func(a, b float64) bool) func(*Result) found {
	return func(r *Result) (f found) {
		for _, figure := range figures {
			for _, other := range others {
				ratio := r.ratio(figure, systems.EbnetName, other)
				if ratio.Blocks > 0 && (f.on == "" || better(ratio.Median, f.value)) {
					f = found{value: ratio.Median, ratio: ratio, on: figure + " / " + other}
				}
			}
		}
		return f
	}
}

// enough says whether a count may stand for the one that a target asks for.
func enough(count, asked int) bool { return count >= asked*9/10 }

// lastPoint finds the series' ratio at a count.
func lastPoint(series string, count int) func(*Result) found {
	return func(r *Result) (f found) {
		for _, s := range r.Series {
			for _, p := range s.Points {
				if s.ID == series && enough(p.Count, count) {
					f = found{value: p.Ratio.Median, ratio: p.Ratio, on: fmt.Sprintf("at %d", p.Count)}
				}
			}
		}
		return f
	}
}

// once finds what was measured with so much.
func once(id string, count int) func(*Result) found {
	return func(r *Result) (f found) {
		for _, o := range r.Once {
			if o.ID == id && enough(o.Count, count) {
				f = found{value: o.Value, on: o.What}
			}
		}
		return f
	}
}

// Docker takes hours to publish as many ports as the target asks for: the series stops
// before, and a line through it says the rest.
const (
	dockerPortsAsked = 10000
	dockerPortsLeast = 1000 // that the line has to start from
)

func dockerPorts(r *Result) (f found) {
	for _, s := range r.Series {
		if ratio, last := extrapolated(s); ratio.Blocks > 0 && last >= dockerPortsLeast {
			f = found{value: ratio.Median, ratio: ratio, on: fmt.Sprintf("extrapolated from up to %d ports by a straight line", last)}
		}
	}
	return f
}

// extrapolated is where a series with Docker leads, and what its last point is.
func extrapolated(s run.Series) (ratio stats.Ratio, last int) {
	if s.ID != run.SeriesDockerPorts {
		return ratio, 0
	}
	var points []stats.Point
	for _, p := range s.Points {
		points = append(points, stats.Point{X: float64(p.Count), Pairs: p.Pairs})
		last = p.Count
	}
	return stats.Extrapolate(points, dockerPortsAsked), last
}
