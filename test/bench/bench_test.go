package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/bench/report"
	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
	"github.com/ebnet/ebnet/test/lab"
)

// The test's binary is the tool, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "tool" {
		os.Exit(tool.Main(os.Args[2:], os.Stdout))
	}
	os.Exit(lab.Build(m))
}

// A whole run, as short as can be: every part of it works, the checks pass, the report is
// written. What it measures means nothing.
func TestSmoke(t *testing.T) {
	lab.NeedRoot(t)
	dir := t.TempDir()
	var out bytes.Buffer
	err := bench(context.Background(), []string{
		"-blocks=2", "-slice=50ms", "-peers=raw-veth,null-bpf,ebnet,ebnet-again,docker-nft",
		"-figures=published.rr,published.udp", "-limit=2", "-out=" + dir,
	}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	raw, err := os.ReadFile(filepath.Join(dir, "raw.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result report.Result
	if err := json.Unmarshal(raw, &result); err != nil {
		t.Fatal(err)
	}
	for _, s := range result.Systems {
		if s.Skipped != "" {
			t.Errorf("%s is skipped: %s", s.Name, s.Skipped)
		}
	}
	want := len(result.Systems) * len(result.Figures) * 2
	if len(result.Slices) != want {
		t.Errorf("%d slices, want %d", len(result.Slices), want)
	}
	for _, s := range result.Slices {
		if s.Value <= 0 {
			t.Errorf("nothing was measured: %+v", s)
		}
	}
	if len(result.Series) != 4 || len(result.Once) < 6 || len(result.Costs) == 0 {
		t.Errorf("series %+v, once %+v, costs %+v", result.Series, result.Once, result.Costs)
	}
	for _, file := range []string{"report.md", "published-rr.svg", "series-ports.svg"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if !strings.Contains(out.String(), "published.rr") || !strings.Contains(out.String(), "targets") {
		t.Errorf("the table:\n%s", out.String())
	}
}

// A slice whose work did not take the fast path fails.
func TestChecksFindCheats(t *testing.T) {
	lab.NeedRoot(t)
	w, err := systems.Build(systems.All()[slices.Index(systemNames(), systems.EbnetName)])
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.TakeDown(); err != nil {
			t.Error(err)
		}
	}()
	route, _ := w.Route(systems.Published)
	masquerade, _ := w.Route(systems.Masquerade)
	figure := run.Figure{ID: "cheat", Direction: systems.Published, Mode: tool.RR}
	// the figure says published, the packets are masqueraded ones
	s, err := run.MeasureRoute(w, figure, masquerade, 50e6)
	if err != nil || !strings.Contains(s.Failed, "fast path") {
		t.Errorf("another path: %v, %q", err, s.Failed)
	}
	// somebody tracks the connections, too
	route.Host.Run("nft", "add table ip t; add chain ip t c { type filter hook prerouting priority 0; }; add rule ip t c ct state new accept")
	s, err = run.MeasureRoute(w, figure, systems.Route{Client: route.Client, Addr: route.Addr, Server: route.Host, Host: route.Host, Port: 9}, 50e6)
	if err != nil || !strings.Contains(s.Failed, "nf_conntrack_count") {
		t.Errorf("conntrack: %v, %q", err, s.Failed)
	}
}

func TestFlags(t *testing.T) {
	for _, words := range []string{"-figures=nothing", "-peers=nobody", "-series=films", "more"} {
		if _, err := parse([]string{words}); err == nil {
			t.Errorf("%s is taken", words)
		}
	}
	o, err := parse([]string{"-short", "-figures=published.rr", "-series=none"})
	if err != nil || o.blocks != 8 || o.budget == 0 || !slices.Equal(o.series, []string{"none"}) {
		t.Errorf("%+v, %v", o, err)
	}
	o, err = parse([]string{"-short"})
	if err != nil || slices.Contains(o.series, run.SeriesDockerPorts) || len(o.series) == 0 {
		t.Errorf("the short form has series %v, %v", o.series, err)
	}
}

// Only a full run's report is where it is kept.
func TestResultsFolder(t *testing.T) {
	for words, want := range map[string]string{
		"": results, "-seed=5": results, "-short": resultsOfPart, "-blocks=30": resultsOfPart, "-slice=1s": resultsOfPart,
		"-figures=c2c.rr": resultsOfPart, "-peers=ebnet": resultsOfPart, "-series=none": resultsOfPart, "-limit=5": resultsOfPart,
		"-blocks=2 -out=there": "there",
	} {
		if o, err := parse(strings.Fields(words)); err != nil || o.out != want {
			t.Errorf("%q: %q, want %q, %v", words, o.out, want, err)
		}
	}
}
