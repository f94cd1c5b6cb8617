package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/stats"
	"github.com/ebnet/ebnet/test/bench/systems"
)

// row is one system in one figure.
type row struct {
	system  string
	median  float64
	times   [3]time.Duration // p50, p99, p99.9; zero of what has none
	raw     stats.Ratio      // to the raw veth pair
	ebnet   stats.Ratio      // of ebnet to it
	p50     stats.Ratio      // the same by the p50
	verdict string           // about ebnet
}

// rows are a figure's, of the systems that have it.
func (r *Result) rows(f run.Figure) []row {
	noise := r.noise(f.ID)
	var out []row
	for _, s := range r.Systems {
		if !r.has(f.ID, s.Name) {
			continue
		}
		w := row{system: s.Name, median: r.median(f.ID, s.Name, value)}
		for i, of := range []func(run.Slice) time.Duration{
			func(s run.Slice) time.Duration { return s.P50 },
			func(s run.Slice) time.Duration { return s.P99 },
			func(s run.Slice) time.Duration { return s.P999 },
		} {
			w.times[i] = time.Duration(r.median(f.ID, s.Name, func(s run.Slice) float64 { return float64(of(s)) }))
		}
		if s.Name != systems.RawVethName {
			w.raw = r.ratio(f.ID, s.Name, systems.RawVethName)
		}
		if s.Name != systems.EbnetName {
			w.ebnet = r.ratio(f.ID, systems.EbnetName, s.Name)
			w.p50 = r.byTime(f.ID, systems.EbnetName, s.Name)
			w.verdict = verdict(s.Name, w.ebnet, noise)
		}
		out = append(out, w)
	}
	return out
}

// verdict says what a ratio of ebnet to another system means.
func verdict(other string, ratio stats.Ratio, noise float64) string {
	if other == systems.EbnetAgain {
		return fmt.Sprintf("noise: ±%.1f %%", noise*100)
	}
	switch stats.Judge(ratio, noise) {
	case stats.More:
		return "ebnet is faster"
	case stats.Less:
		return "ebnet is slower"
	case stats.NoDifference:
		return "no difference"
	}
	return ""
}

// Table writes the ratios for a terminal.
func (r *Result) Table(out io.Writer) {
	for _, s := range r.Systems {
		if s.Skipped != "" {
			fmt.Fprintf(out, "skipped %s: %s\n", s.Name, s.Skipped)
		}
	}
	for _, f := range r.Figures {
		rows := r.rows(f)
		if len(rows) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s: %s\n", f.ID, f.What)
		tab := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
		fmt.Fprintf(tab, "  system\tmedian\tp50 / p99 / p99.9\tto raw veth\tebnet to it\tby p50\t\n")
		for _, w := range rows {
			fmt.Fprintf(tab, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", w.system, quantity(w.median, f.Unit), w.latency(), interval(w.raw), interval(w.ebnet), interval(w.p50), w.verdict)
		}
		tab.Flush()
	}
	r.seriesTable(out)
	fmt.Fprintln(out, "\ntargets")
	tab := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	for _, t := range Targets() {
		standing, text := t.Stand(r)
		fmt.Fprintf(tab, "  %s\tmust %s, aim %s\t%s\t%s\n", t.What, t.limit(t.Must), t.limit(t.Aim), standing, text)
	}
	tab.Flush()
	for _, failure := range r.Failures() {
		fmt.Fprintf(out, "FAILED %s\n", failure)
	}
}

func (r *Result) seriesTable(out io.Writer) {
	for _, s := range r.Series {
		fmt.Fprintf(out, "\n%s: %s, relative to %s\n", s.ID, s.What, s.Base)
		for _, p := range s.Points {
			fmt.Fprintf(out, "  %8d  %s\n", p.Count, interval(p.Ratio))
		}
		if ratio, last := extrapolated(s); ratio.Blocks > 0 {
			fmt.Fprintf(out, "  %8d  %s  extrapolated from up to %d by a straight line\n", dockerPortsAsked, interval(ratio), last)
		}
	}
	if len(r.Once) > 0 {
		fmt.Fprintln(out, "\nmeasured once")
	}
	for _, o := range r.Once {
		fmt.Fprintf(out, "  %s: %s\n", o.What, quantity(o.Value, o.Unit))
	}
	if len(r.Costs) > 0 {
		fmt.Fprintln(out, "\nnanoseconds of each program for a packet, the kernel's count included")
	}
	for _, c := range r.Costs {
		fmt.Fprintf(out, "  %s, %s: %s %d ns\n", c.Figure, c.System, c.Program, c.Each.Nanoseconds())
	}
}

func (t Target) limit(v float64) string {
	if t.Unit != "" {
		return quantity(v, t.Unit)
	}
	return fmt.Sprintf("%g", v)
}

func (w row) latency() string {
	if w.times[0] == 0 {
		return ""
	}
	var words []string
	for _, t := range w.times {
		words = append(words, fmt.Sprintf("%.3g", float64(t)/1e3))
	}
	return strings.Join(words, " / ") + " µs"
}

// interval writes a ratio with its 95 % interval.
func interval(r stats.Ratio) string {
	if r.Blocks == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f [%.3f, %.3f]", r.Median, r.Low, r.High)
}

// quantity writes a value with its unit in three figures.
func quantity(v float64, unit string) string {
	if v == 0 {
		return "0 " + unit
	}
	scales := []struct {
		least, by float64
		prefix    string
	}{{1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e3, 1e3, "k"}, {1, 1, ""}, {1e-3, 1e-3, "m"}, {0, 1e-6, "µ"}}
	for _, s := range scales {
		if v < s.least {
			continue
		}
		if unit == "1/s" {
			return fmt.Sprintf("%.3g%s/s", v/s.by, s.prefix)
		}
		return fmt.Sprintf("%.3g %s%s", v/s.by, s.prefix, unit)
	}
	return ""
}
