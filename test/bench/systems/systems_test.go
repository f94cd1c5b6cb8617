package systems_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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
	if err := os.Chdir(".."); err != nil { // lab builds two folders up
		panic(err)
	}
	os.Exit(lab.Build(m))
}

// build sets a system up for as long as the test runs.
func build(t *testing.T, name string) *systems.World {
	t.Helper()
	lab.NeedRoot(t)
	all := systems.All()
	s := all[slices.IndexFunc(all, func(s systems.System) bool { return s.Name() == name })]
	if err := s.Available(); err != nil {
		if os.Getenv("EBNET_PRIVILEGED") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	w, err := systems.Build(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.TakeDown(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// Each system connects all that it says it does, passes its checks, tells its version
// and leaves nothing behind.
func TestSystems(t *testing.T) {
	for _, s := range systems.All() {
		t.Run(s.Name(), func(t *testing.T) {
			w := build(t, s.Name())
			measured := 0
			for _, d := range []systems.Direction{systems.Published, systems.Masquerade, systems.C2C, systems.Localhost} {
				for _, mode := range []string{tool.RR, tool.CRR, tool.UDP} {
					if mode == tool.UDP && d != systems.Published {
						continue
					}
					slice, ok, err := run.Measure(w, run.Figure{ID: string(d) + "." + mode, Direction: d, Mode: mode}, 20*time.Millisecond)
					if err != nil || slice.Failed != "" || ok && slice.Value <= 0 {
						t.Errorf("%s %s: %v, %+v", d, mode, err, slice)
					}
					if ok {
						measured++
					}
				}
			}
			if measured == 0 {
				t.Error("has no direction")
			}
			if _, tracked := w.System.(systems.Tracked); tracked && !strings.Contains(w.About(), "(") {
				t.Errorf("no version in %q", w.About())
			}
		})
	}
}

// A system of netfilter's that does without it fails its check.
func TestTracksNothing(t *testing.T) {
	if err := systems.Needs("nft"); err != nil {
		t.Fatal(err)
	}
	w := build(t, systems.NftMapName)
	route, _ := w.Route(systems.Published)
	container := netip.MustParseAddr("172.30.0.10")
	if err := w.Do(func() {
		route.Host.Run("nft", "flush", "ruleset")
		route.Client.Route("172.30.0.0/24", route.Addr)
	}); err != nil {
		t.Fatal(err)
	}
	route.Addr = container
	s, err := run.MeasureRoute(w, run.Figure{ID: "cheat", Direction: systems.Published, Mode: tool.RR}, route, 20*time.Millisecond)
	if err != nil || !strings.Contains(s.Failed, "tracks nothing") {
		t.Errorf("%v, %q", err, s.Failed)
	}
}

// What is missing is named, with the package that has it.
func TestNeeds(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := systems.Needs("iptables-nft", "iptables-legacy", "nft")
	if err == nil || !strings.Contains(err.Error(), "not installed: iptables-nft, iptables-legacy, nft (Debian: apt-get install iptables nftables)") {
		t.Error(err)
	}
	if !slices.Contains(systems.Packages(), "podman") || !slices.IsSorted(systems.Packages()) {
		t.Errorf("packages %v", systems.Packages())
	}
}
