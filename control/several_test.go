package control

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// routing shows a sandbox's interfaces with their tables, which of them leads out
// in brackets, and the rules.
func (w *world) routing(sandbox string) string {
	ns := w.netns["/fake/ebnet-"+sandbox]
	var out []string
	for _, name := range slices.Sorted(maps.Keys(ns)) {
		text := name
		if dev := ns[name]; strings.HasPrefix(name, "eth") {
			text = fmt.Sprint(name, " ", dev.table)
			if len(dev.gates) == 0 {
				text += " inside"
			}
			if dev.way {
				text = "[" + text + "]"
			}
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// TestDefaultRoute: it leads by the first network that leads out, and moves when
// that goes. Only a sandbox on several networks has rules.
func TestDefaultRoute(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	for _, c := range []api.NetworkCreate{{Name: "blue"}, {Name: "red"}, {Name: "inner", Internal: true}} {
		if err := createNetwork(c)(a); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what string
		do   func(*Agent) error
		want string
	}{
		{"internal only", createSandbox("web", []string{"inner"}), "eth0 0 inside, lo"},
		{"one more", connect("blue", "web"), "eth0 1000 inside, [eth1 1001], lo, rule 1000, rule 1001"},
		{"a second that leads out", connect("red", "web"), "eth0 1000 inside, [eth1 1001], eth2 1002, lo, rule 1000, rule 1001, rule 1002"},
		{"the first gone", disconnect("inner", "web"), "[eth1 1001], eth2 1002, lo, rule 1001, rule 1002"},
		{"back again", connect("inner", "web"), "[eth1 1001], eth2 1002, eth3 1003 inside, lo, rule 1001, rule 1002, rule 1003"},
		{"the way gone", disconnect("blue", "web"), "[eth2 1002], eth3 1003 inside, lo, rule 1002, rule 1003"},
		{"one left", disconnect("inner", "web"), "[eth2 0], lo"},
		{"none left", disconnect("red", "web"), "lo"},
		{"from the beginning", connect("red", "web"), "[eth0 0], lo"},
	} {
		if err := step.do(a); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := w.routing("web"); got != step.want {
			t.Errorf("%s: %s\nwant %s", step.what, got, step.want)
		}
		a = w.agent()
		if got := w.routing("web"); got != step.want {
			t.Errorf("%s, after a restart: %s\nwant %s", step.what, got, step.want)
		}
	}
}

// TestPublishFollowsTheWay: a port goes to the network of the default route, and
// stays with the network that it was published on until the sandbox leaves it.
func TestPublishFollowsTheWay(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	err := all(
		createNetwork(api.NetworkCreate{Name: "blue"}), createNetwork(api.NetworkCreate{Name: "inner", Internal: true}),
		createSandbox("web", []string{"inner", "blue", "default"}, "8080:80"),
		publish(api.PublishCreate{Spec: spec("8081:81"), Network: "default"}),
	)(a)
	if err != nil {
		t.Fatal(err)
	}
	show := func() (out string) {
		for _, p := range a.want.publishList() {
			out += fmt.Sprintf("%d %s ", p.HostPort, p.Network)
		}
		return out
	}
	if got := show(); got != "8080 blue 8081 default " {
		t.Errorf("published %s", got)
	}
	if err := disconnect("blue", "web")(a); err != nil {
		t.Fatal(err)
	}
	if got := show(); got != "8081 default " || a.registry.Count() != 1 || w.reserved.Len() != 1 || len(w.publishes) != 1 {
		t.Errorf("published %s, %d ports registered, %v reserved", got, a.registry.Count(), w.reserved)
	}
}

// TestBridgeFull: a bridge has 1,023 ports, in the kernel as in the plan.
func TestBridgeFull(t *testing.T) {
	w := newWorld(t)
	bridge := w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("10.30.0.1/24")})
	a := w.agent()
	if err := createNetwork(api.NetworkCreate{Name: "dock", Bridge: "docker0"})(a); err != nil {
		t.Fatal(err)
	}
	for i := range netdev.MaxBridgePorts {
		w.add(netdev.LinkInfo{Name: fmt.Sprint("port", i), Kind: "veth", Master: bridge})
	}
	err := createSandbox("web", []string{"dock"})(a)
	if apiError(err).Code != api.CodeConflict || !strings.Contains(err.Error(), "network dock is full: its bridge docker0 has 1023 ports") {
		t.Errorf("a sandbox on a full bridge: %v", err)
	}
	// Of ports that others put on a bridge of ebnet's own the kernel has to tell.
	for i := range netdev.MaxBridgePorts {
		w.add(netdev.LinkInfo{Name: fmt.Sprint("port", i), Kind: "veth", Master: w.links["ebnet0"].Index})
	}
	err = createSandbox("web", nil)(a)
	if apiError(err).Code != api.CodeConflict || !errors.Is(err, netdev.ErrBridgeFull) {
		t.Errorf("a sandbox on a bridge that others filled: %v", err)
	}
	if len(a.want.sandboxes) > 0 || len(w.netns) > 0 || len(w.endpoints) > 0 || taken(a, "default") > 0 {
		t.Error("something is left")
	}
}

func TestMTU(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "up1", Kind: "device", Up: true, MTU: 1280, Addrs: prefixes("203.0.113.1/24")})
	w.way = "" // no default route yet
	a := w.agent()
	if err := all(createNetwork(api.NetworkCreate{Name: "small", MTU: 1000}), createSandbox("web", []string{"default", "small"}))(a); err != nil {
		t.Fatal(err)
	}
	check := func(what string, want int) {
		t.Helper()
		a.reconcile()
		ats := a.want.sandboxes["web"].Attachments
		got := []int{w.links["ebnet0"].MTU, w.links[ats[0].HostInterface].MTU, w.links[ats[1].HostInterface].MTU}
		if !slices.Equal(got, []int{want, want, 1000}) {
			t.Errorf("%s: MTU %d, want %d", what, got, want)
		}
		if n, _ := a.Network(t.Context(), "default"); n.MTU != want {
			t.Errorf("%s: shows %d", what, n.MTU)
		}
	}
	check("the smallest where there is no default route", 1280)
	w.way = "up0"
	check("that of the default route", 1500)
	w.way = ""
	check("the default route is away for a while", 1500)
	if len(a.repairs) > 0 {
		t.Errorf("repairs %v, where nothing was broken", a.repairs)
	}
}

// TestBridgeIsUplink: a bridge that was there before and leads out does both.
func TestBridgeIsUplink(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "br0", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("10.30.0.7/24")})
	w.add(netdev.LinkInfo{Name: "br1", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("10.31.0.7/24")})
	w.way = "br0"
	a := w.agent()
	err := all(createNetwork(api.NetworkCreate{Name: "a", Bridge: "br0"}), createNetwork(api.NetworkCreate{Name: "b", Bridge: "br1"}))(a)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.kick) == 0 {
		t.Error("no reconcile asked for")
	}
	a.reconcile()
	var names []string
	for _, u := range a.live.uplinks {
		names = append(names, u.name)
	}
	if !slices.Equal(names, []string{"up0", "br0"}) {
		t.Errorf("uplinks %q", names)
	}
	w.lose("br1")
	a.reconcile()
	if got := fmt.Sprint(a.problems); !strings.Contains(got, "repair network b") || w.links["br1"].Name != "" {
		t.Errorf("the bridge of somebody else is gone: problems %s", got)
	}
}
