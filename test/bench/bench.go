package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ebnet/ebnet/test/bench/report"
	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/lab"
)

// bench does a whole run. Whatever happens, it takes down what it has built.
func bench(ctx context.Context, words []string, out io.Writer) error {
	o, err := parse(words)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("make namespaces: needs root")
	}
	cleanup, err := build(ctx)
	if err != nil {
		return err
	}
	defer cleanup()
	figures := run.Select(run.Figures(), o.figures)
	if len(o.figures) > 0 {
		figures = run.Always(figures) // they have all the time
	} else if o.short {
		figures = run.Brief(figures)
	}
	result := &report.Result{Machine: machine(), Figures: figures}
	if problem := systems.Needs("iperf3"); problem != nil {
		result.Figures = run.WithoutStreams(figures)
		result.Notes = append(result.Notes, fmt.Sprintf("no throughput: %v", problem))
		say("skipped throughput: %v", problem)
	}
	worlds, err := setUp(ctx, o, result)
	if err == nil {
		err = measure(ctx, o, worlds, result)
	}
	for _, w := range worlds {
		if down := w.TakeDown(); down != nil {
			err = errors.Join(err, fmt.Errorf("take down %s: %w", w.Name(), down))
		}
	}
	if err != nil {
		return err
	}
	if err := result.Write(o.out); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	result.Table(out)
	fmt.Fprintf(out, "\nreport: %s\n", filepath.Join(o.out, "report.md"))
	if n := len(result.Failures()); n > 0 {
		return fmt.Errorf("%d checks failed: this run proves nothing", n)
	}
	return nil
}

// say shows progress.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// build compiles what the worlds run, unless lab.BinEnv names it already.
func build(ctx context.Context) (cleanup func(), err error) {
	if os.Getenv(lab.BinEnv) != "" {
		return func() {}, nil
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find ebnet's source: %w", err)
	}
	dir, err := os.MkdirTemp("", "ebnet-bench-bin-")
	if err != nil {
		return nil, err
	}
	cleanup = func() { os.RemoveAll(dir) }
	say("building")
	flags := "-s -w"
	describe := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	describe.Dir = strings.TrimSpace(string(root))
	if version, err := describe.Output(); err == nil { // the report has it
		flags += " -X main.version=" + strings.TrimSpace(string(version))
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", flags, "-o", dir, "./cmd/ebnet", "./test/lab/cmd/traffic")
	cmd.Dir = describe.Dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		cleanup()
		return nil, fmt.Errorf("build ebnet: %w\n%s", err, out)
	}
	return cleanup, os.Setenv(lab.BinEnv, dir)
}

// setUp builds a world for every system that was asked for and can be had. The rest is
// named, with the reason.
func setUp(ctx context.Context, o options, result *report.Result) (worlds []*systems.World, err error) {
	for _, s := range systems.All() {
		if len(o.peers) > 0 && !slices.Contains(o.peers, s.Name()) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return worlds, err
		}
		info := report.SystemInfo{Name: s.Name(), About: s.About()}
		problem := s.Available()
		if problem == nil {
			var w *systems.World
			if w, problem = systems.Build(s); problem == nil {
				worlds = append(worlds, w)
				info.About = s.About()
			}
		}
		if problem != nil {
			if s.Name() == systems.EbnetName {
				return worlds, problem
			}
			info.Skipped = strings.Join(strings.Fields(problem.Error()), " ")
			say("skipped %s: %s", s.Name(), info.Skipped)
		} else {
			say("set up %s", s.Name())
		}
		result.Systems = append(result.Systems, info)
	}
	return worlds, nil
}

// measure runs the blocks, then what is measured by itself.
func measure(ctx context.Context, o options, worlds []*systems.World, result *report.Result) error {
	plan := run.Plan{Worlds: worlds, Figures: result.Figures, Blocks: o.blocks, Slice: o.slice, Seed: o.seed, Say: say}
	if o.budget > 0 {
		plan.Fit(o.budget)
	}
	result.Asked = report.Asked{Blocks: plan.Blocks, Slice: plan.Slice.Seconds(), Seed: o.seed}
	say("%d blocks of slices of %v: about %v", plan.Blocks, plan.Slice, plan.Length().Round(time.Second))
	var err error
	if result.Slices, err = plan.Run(ctx); err != nil {
		return err
	}
	if result.Costs, err = run.Costs(worlds, costFigures(result.Figures), plan.Slice); err != nil {
		return err
	}
	if w := find(worlds, systems.EbnetName); w != nil {
		costs, err := run.TestRuns(w, plan.Slice)
		if err != nil {
			return err
		}
		result.Costs = append(result.Costs, costs...)
	}
	still, grown := find(worlds, systems.EbnetName), find(worlds, systems.EbnetAgain)
	if still == nil || grown == nil {
		result.Notes = append(result.Notes, "without both ebnets there is neither noise nor a series")
		return nil
	}
	if find(worlds, systems.DockerNft) == nil && slices.Contains(o.series, run.SeriesDockerPorts) {
		result.Notes = append(result.Notes, fmt.Sprintf("no series %s without %s", run.SeriesDockerPorts, systems.DockerNft))
	}
	scale := run.Scale{
		Still: still, Grown: grown, Docker: find(worlds, systems.DockerNft), Blocks: o.blocks, Slice: min(plan.Slice, time.Second),
		Seed: o.seed, Limit: o.limit, Say: say,
	}
	scale.Run(ctx, o.series)
	result.Series, result.Once = scale.Series, scale.Once
	return ctx.Err()
}

// costFigures are those in which programs are looked at by themselves.
func costFigures(all []run.Figure) []run.Figure {
	return slices.DeleteFunc(run.Select(all, []string{"published.rr", "masquerade.rr", "c2c.rr", "localhost.crr"}),
		func(f run.Figure) bool { return f.Pin == run.Free })
}

func find(worlds []*systems.World, name string) *systems.World {
	for _, w := range worlds {
		if w.Name() == name {
			return w
		}
	}
	return nil
}
