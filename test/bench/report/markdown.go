package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/systems"
)

// Write writes the raw data, the report and its plots into a folder.
func (r *Result) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	files := r.plots()
	files["raw.json"] = string(raw) + "\n"
	files["report.md"] = r.Markdown()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// plots are the SVG files, by name.
func (r *Result) plots() map[string]string {
	files := map[string]string{}
	for _, f := range r.Figures {
		base, what := r.base(f.ID)
		var all []bar
		for _, w := range r.rows(f) {
			if ratio := r.ratio(f.ID, w.system, base); ratio.Blocks > 0 && w.system != base {
				ours := w.system == systems.EbnetName || w.system == systems.EbnetAgain
				all = append(all, bar{label: w.system, ratio: ratio, ours: ours})
			}
		}
		if len(all) > 0 {
			files[plotFile(f.ID)] = bars(f.What+", relative to "+what, all)
		}
	}
	for _, s := range r.Series {
		title := s.What + ", relative to " + s.Base
		var all []point
		for _, p := range s.Points {
			all = append(all, point{x: p.Count, ratio: p.Ratio})
		}
		if ratio, _ := extrapolated(s); ratio.Blocks > 0 {
			all = append(all, point{x: dockerPortsAsked, ratio: ratio, guess: true})
			title += "; dashed: extrapolated"
		}
		if len(all) > 0 {
			files[plotFile("series."+s.ID)] = curve(title, all)
		}
	}
	return files
}

// base is the limit that a figure is shown against.
func (r *Result) base(figure string) (system, what string) {
	if r.has(figure, systems.RawVethName) {
		return systems.RawVethName, "a raw veth pair"
	}
	return systems.LoopbackName, "host networking"
}

func plotFile(id string) string { return strings.ReplaceAll(id, ".", "-") + ".svg" }

// Markdown is the report.
func (r *Result) Markdown() string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	m := r.Machine
	say("# Benchmark of %s\n", m.Time)
	say("Kernel %s, %d × %s, %s of memory; %s, %s.", m.Kernel, m.CPUs, m.CPU, quantity(float64(m.Memory), "B"), m.Go, m.Iperf)
	say("%d blocks of slices of %g s, seed %d. `sudo make bench` runs it again; [raw.json](raw.json) has every slice.\n", r.Asked.Blocks, r.Asked.Slice, r.Asked.Seed)
	for _, note := range r.Notes {
		say("- %s", note)
	}
	r.failuresAndTargets(say)
	say("\n## Systems\n\n| system | what it is |\n|---|---|")
	for _, s := range r.Systems {
		if s.Skipped != "" {
			say("| %s | **skipped**: %s |", s.Name, s.Skipped)
			continue
		}
		say("| %s | %s |", s.Name, s.About)
	}
	say("\n## Figures\n")
	say("Systems are compared within a block, where they are measured one right after the other in random order; a ratio is the median")
	say("of the blocks' with its 95 %% bootstrap interval. The noise is how far a second ebnet is from the first, by the farther end of that")
	say("interval: nothing smaller is called a difference. Medians of rates are for orientation only: the machine's speed changes. \"By")
	say("p50\" compares the typical time of a transaction instead of their number; what else runs on the machine moves it less.")
	for _, f := range r.Figures {
		rows := r.rows(f)
		if len(rows) == 0 {
			continue
		}
		say("\n### %s\n\n%s%s.\n", f.ID, f.What, r.blocks(f))
		say("| system | median | p50 / p99 / p99.9 | to raw veth | ebnet to it | by p50 | |\n|---|---|---|---|---|---|---|")
		for _, w := range rows {
			say("| %s | %s | %s | %s | %s | %s | %s |", w.system, quantity(w.median, f.Unit), w.latency(), interval(w.raw), interval(w.ebnet), interval(w.p50), w.verdict)
		}
		say("\n![%s](%s)", f.What, plotFile(f.ID))
	}
	r.growth(say)
	return b.String()
}

// blocks says of how many blocks a figure is, where not of all.
func (r *Result) blocks(f run.Figure) string {
	n := 0
	for block := range r.Asked.Blocks {
		if f.In(block) {
			n++
		}
	}
	if n == r.Asked.Blocks {
		return ""
	}
	return fmt.Sprintf(", in %d blocks of %d", n, r.Asked.Blocks)
}

func (r *Result) failuresAndTargets(say func(string, ...any)) {
	if failures := r.Failures(); len(failures) > 0 {
		say("\n## The checks failed: this run proves nothing\n")
		for _, f := range failures {
			say("- %s", f)
		}
	}
	say("\n## Targets\n\n| figure | must | aim | | measured |\n|---|---|---|---|---|")
	for _, t := range Targets() {
		standing, text := t.Stand(r)
		say("| %s | %s | %s | %s | %s |", t.What, t.limit(t.Must), t.limit(t.Aim), standing, text)
	}
}

// growth is what follows the number of something, and what was measured once.
func (r *Result) growth(say func(string, ...any)) {
	for _, s := range r.Series {
		say("\n### series.%s\n\n%s, relative to %s.\n", s.ID, s.What, s.Base)
		if s.Failed != "" {
			say("**Failed**: %s\n", s.Failed)
		}
		say("| count | ratio |\n|---|---|")
		for _, p := range s.Points {
			say("| %d | %s |", p.Count, interval(p.Ratio))
		}
		if ratio, last := extrapolated(s); ratio.Blocks > 0 {
			say("| %d, **extrapolated** from up to %d by a straight line | %s |", dockerPortsAsked, last, interval(ratio))
		}
		if len(s.Points) > 0 {
			say("\n![%s](%s)", s.What, plotFile("series."+s.ID))
		}
	}
	if len(r.Once) > 0 {
		say("\n## Measured once\n\n| what | value |\n|---|---|")
		for _, o := range r.Once {
			say("| %s | %s |", o.What, quantity(o.Value, o.Unit))
		}
	}
	if len(r.Costs) > 0 {
		say("\n## What the programs take for a packet\n")
		say("By the kernel's own statistics, their cost included (some 20 ns).\n\n| figure | system | program | runs | each |\n|---|---|---|---|---|")
		for _, c := range r.Costs {
			say("| %s | %s | %s | %d | %d ns |", c.Figure, c.System, c.Program, c.Runs, c.Each.Nanoseconds())
		}
	}
}
