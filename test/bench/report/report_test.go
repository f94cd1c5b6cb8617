package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/stats"
	"github.com/ebnet/ebnet/test/bench/systems"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a run of three blocks with round numbers.
func sample() *Result {
	r := &Result{
		Machine: Machine{Time: "2026-01-02 03:04 UTC", Kernel: "6.18.0 x86_64", CPU: "Some CPU", CPUs: 2, Memory: 24e9, Go: "go1.26", Iperf: "iperf 3.12"},
		Asked:   Asked{Blocks: 3, Slice: 2, Seed: 7},
		Figures: run.Select(run.Figures(), []string{"published.rr", "localhost.rr"}),
		Notes:   []string{"a note"},
		Series: []run.Series{
			{ID: run.SeriesPorts, What: "connections to the last port", Base: "one", System: systems.EbnetName, Points: []run.Point{
				{Count: 1, Ratio: stats.Ratio{Median: 1, Low: 0.99, High: 1.01, Blocks: 3}},
				{Count: 100000, Ratio: stats.Ratio{Median: 0.97, Low: 0.94, High: 0.99, Blocks: 3}},
			}},
			dockerSeries(100, 1000, 3000),
		},
		Once:  []run.Once{{ID: "publish.p99", What: "publishing one port", Count: 100000, Value: 0.002, Unit: "s"}},
		Costs: []run.Cost{{System: systems.EbnetName, Figure: "published.rr", Program: "ebnet_from_ext", Runs: 1000, Each: 300}},
	}
	speeds := map[string]float64{
		systems.RawVethName: 70000, systems.NullBPFName: 66000, systems.EbnetName: 65000, systems.EbnetAgain: 65500, systems.NftMapName: 52000,
	}
	for name, speed := range speeds {
		for block := range 3 {
			swing := []float64{1, 0.5, 0.9}[block]
			r.Slices = append(r.Slices, run.Slice{
				Block: block, Figure: "published.rr", System: name, Value: speed * swing,
				P50: time.Duration(1e9 / speed), P99: time.Duration(2e9 / speed), P999: time.Duration(9e9 / speed),
			})
		}
	}
	for _, s := range systems.All() {
		info := SystemInfo{Name: s.Name(), About: "what " + s.Name() + " is"}
		if s.Name() == systems.CNIName {
			info.Skipped = "no CNI plugins"
		}
		if s.Name() == systems.DockerNft { // those behind it change nothing here
			break
		}
		r.Systems = append(r.Systems, info)
	}
	return r
}

// dockerSeries has ratios of 1.2 and 0.001 more for each port.
func dockerSeries(counts ...int) run.Series {
	s := run.Series{ID: run.SeriesDockerPorts, What: "connections to the last port", Base: "Docker's", System: systems.DockerNft}
	for _, count := range counts {
		ratio := 1.2 + 0.001*float64(count)
		pairs := []stats.Pair{{A: 9000 * ratio, B: 9000}, {A: 5000 * ratio, B: 5000}, {A: 7000 * ratio, B: 7000}}
		s.Points = append(s.Points, run.Point{Count: count, Ratio: stats.Compare(pairs), Pairs: pairs})
	}
	return s
}

func TestGolden(t *testing.T) {
	r := sample()
	var table bytes.Buffer
	r.Table(&table)
	golden(t, "table.txt", table.String())
	golden(t, "report.md", r.Markdown())
	golden(t, "bars.svg", r.plots()["published-rr.svg"])
	golden(t, "curve.svg", r.plots()["series-ports.svg"])
	golden(t, "extrapolated.svg", r.plots()["series-docker-ports.svg"])
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not as committed; -update writes it:\n%s", name, got)
	}
}

// A failed check shows everywhere, and its slice does not count.
func TestFailures(t *testing.T) {
	r := sample()
	for i := range r.Slices {
		if r.Slices[i].System == systems.NullBPFName {
			r.Slices[i].Failed = "bytes differ"
		}
	}
	var table bytes.Buffer
	r.Table(&table)
	for what, text := range map[string]string{"table": table.String(), "report": r.Markdown()} {
		if n := strings.Count(text, "null-bpf: bytes differ"); n != 3 {
			t.Errorf("the %s names %d failures", what, n)
		}
	}
	if r.has("published.rr", systems.NullBPFName) {
		t.Error("failed slices count")
	}
}

func TestTargets(t *testing.T) {
	r := sample()
	for _, row := range []struct {
		what string
		want Standing
	}{
		{"published CRR / nftables map", NotMeasured},
		{"any RR or throughput / null-BPF", MetMust},
		{"CRR at 100,000 ports / at 1 port", MetMust},
		{"publish p99 with 100,000 ports in place", MetMust},
		{"published CRR / Docker iptables, 10,000 ports, the last one", MetAim},
		{"1,000,000 flows: memory", NotMeasured},
	} {
		found := false
		for _, target := range Targets() {
			if target.What != row.what {
				continue
			}
			found = true
			if got, text := target.Stand(r); got != row.want {
				t.Errorf("%s: %s %s, want %s", row.what, got, text, row.want)
			}
		}
		if !found {
			t.Errorf("no target %q", row.what)
		}
	}
}

// What was measured with less than a target asks for does not count.
func TestTooLittle(t *testing.T) {
	r := sample()
	r.Series = []run.Series{dockerSeries(100, 300)}
	for _, target := range Targets() {
		for _, o := range []run.Once{
			{ID: "publish.p99", Count: 1000},
			{ID: "publish.bulk", Count: 100},
			{ID: "publish.bulk.memory", Count: 100},
			{ID: "sandboxes", Count: 100},
			{ID: "flows.memory", Count: 400000},
		} {
			o.What, o.Value, o.Unit = "a little of it", 1e-9, target.Unit
			r.Once = append(r.Once, o)
		}
		if got, text := target.Stand(r); text != "" && (target.Unit != "" || got == MetAim) {
			t.Errorf("%s: %s %s", target.What, got, text)
		}
		r.Once = nil
	}
}

// Every target must be easier than its aim.
func TestLimits(t *testing.T) {
	for _, target := range Targets() {
		if easier := target.Must < target.Aim; easier != (target.Unit == "") {
			t.Errorf("%s: must %v, aim %v", target.What, target.Must, target.Aim)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	r := sample()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "raw.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if back.Markdown() != r.Markdown() {
		t.Error("the raw data do not make the same report")
	}
	plots, _ := filepath.Glob(filepath.Join(dir, "*.svg"))
	if len(plots) != 3 {
		t.Errorf("plots %v", plots)
	}
	for _, path := range plots {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		for dec := xml.NewDecoder(file); ; {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
	}
}

func TestQuantity(t *testing.T) {
	for _, row := range []struct {
		value float64
		unit  string
		want  string
	}{
		{71900, "1/s", "71.9k/s"}, {9.41e9, "bit/s", "9.41 Gbit/s"}, {0.0021, "s", "2.1 ms"}, {12e-6, "s", "12 µs"}, {450e6, "B", "450 MB"}, {0, "B", "0 B"},
	} {
		if got := quantity(row.value, row.unit); got != row.want {
			t.Errorf("%v %s: %q, want %q", row.value, row.unit, got, row.want)
		}
	}
}
