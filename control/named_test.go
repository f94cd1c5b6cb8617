package control

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestRenamed gives devices other names, under an agent and while there is none. They
// get theirs back and are still the same.
func TestRenamed(t *testing.T) {
	link := func(a *Agent, sandbox string) string { return a.want.sandboxes[sandbox].Attachments[0].HostInterface }
	rename := func(t *testing.T, w *world, names ...string) {
		t.Helper()
		for i := 0; i < len(names); i += 2 {
			if err := w.rename(names[i], names[i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, sabotage := range map[string]func(t *testing.T, w *world, a *Agent){
		"a link":                             func(t *testing.T, w *world, a *Agent) { rename(t, w, link(a, "web"), "myveth") },
		"a link, like a stranger of ebnet's": func(t *testing.T, w *world, a *Agent) { rename(t, w, link(a, "web"), "eb00000000001") },
		"a link, its name taken": func(t *testing.T, w *world, a *Agent) {
			rename(t, w, link(a, "web"), "myveth")
			w.add(netdev.LinkInfo{Name: link(a, "web"), Kind: "veth"})
		},
		"two links, swapped": func(t *testing.T, w *world, a *Agent) {
			rename(t, w, link(a, "web"), "other", link(a, "db"), link(a, "web"), "other", link(a, "db"))
		},
		"a link, with another MAC address": func(t *testing.T, w *world, a *Agent) {
			l := w.links[link(a, "web")]
			l.MAC = nil
			w.change(l)
			rename(t, w, l.Name, "myveth")
		},
		"a bridge, with another MAC address": func(t *testing.T, w *world, _ *Agent) {
			l := w.links["ebnet0"]
			l.MAC = nil
			w.change(l)
			rename(t, w, l.Name, "mybridge")
		},
		"a bridge": func(t *testing.T, w *world, _ *Agent) { rename(t, w, "ebnet0", "mybridge") },
		"a bridge, like a stranger of ebnet's": func(t *testing.T, w *world, a *Agent) {
			rename(t, w, a.want.networks["blue"].Bridge, "eb-0123456789ab")
		},
	} {
		for when, look := range map[string]func(w *world, a *Agent) *Agent{
			"under an agent":                     func(_ *world, a *Agent) *Agent { a.reconcile(); return a },
			"between agents":                     func(w *world, _ *Agent) *Agent { return w.agent() },
			"under an agent, the endpoints gone": func(w *world, a *Agent) *Agent { clear(w.endpoints); a.reconcile(); return a },
			"and the tables are new":             func(w *world, _ *Agent) *Agent { clear(w.endpoints); clear(w.networks); return w.agent() },
		} {
			t.Run(name+"/"+when, func(t *testing.T) {
				told := strings.Contains(name, "taken") || strings.Contains(name, "swapped")
				if told && !strings.HasPrefix(when, "under") || strings.Contains(name, "another MAC") && strings.Contains(when, "new") {
					t.SkipNow() // nothing tells which is which any more
				}
				w := newWorld(t)
				a := w.agent()
				err := all(createNetwork(api.NetworkCreate{Name: "blue"}), createSandbox("web", []string{"default", "blue"}, "8080:80"), createSandbox("db", nil))(a)
				if err != nil {
					t.Fatal(err)
				}
				before, indexes := w.all(), w.indexes()
				sabotage(t, w, a)
				w.arm(0, false)
				a = look(w, a)
				if after := w.all(); after != before {
					t.Errorf("not repaired:\n%s\nbefore:\n%s", after, before)
				}
				if after := w.indexes(); after != indexes {
					t.Errorf("devices are others: %s, before %s", after, indexes)
				}
				for _, call := range []string{"veth", "detach", "delete endpoint"} {
					if slices.Contains(w.calls, call) {
						t.Errorf("did %q: %q", call, w.calls)
					}
				}
				if when == "under an agent" && a.repairs["name"] == 0 || len(a.problems) > 0 {
					t.Errorf("repairs %v, problems %q", a.repairs, a.problems)
				}
			})
		}
	}
}

// indexes are the devices with their numbers.
func (w *world) indexes() string {
	out := map[string]int{}
	for name, l := range w.links {
		out[name] = l.Index
	}
	return fmt.Sprint(out)
}

// TestRenamedForGood has a device that cannot get its name back: another is made in its
// place, and nothing of it stays.
func TestRenamedForGood(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	if err := createSandbox("web", nil, "8080:80")(a); err != nil {
		t.Fatal(err)
	}
	before, link := w.all(), a.want.sandboxes["web"].Attachments[0].HostInterface
	if err := w.rename(link, "myveth"); err != nil {
		t.Fatal(err)
	}
	w.arm(1, false) // the renaming
	a.reconcile()
	if w.calls[0] != "rename" {
		t.Fatalf("failed %q", w.calls[0])
	}
	if after := w.all(); after != before || len(a.problems) > 0 {
		t.Errorf("problems %q:\n%s\nbefore:\n%s", a.problems, after, before)
	}
}

// TestRenamedInside: the sandbox's side is found by the host's. There is one with the
// address at the end, not two.
func TestRenamedInside(t *testing.T) {
	for when, look := range map[string]func(w *world, a *Agent){
		"at the interval": func(_ *world, a *Agent) { a.lookInside(nil) },
		"at the start":    func(w *world, _ *Agent) { w.agent() },
		"with the host's": func(w *world, a *Agent) {
			if err := w.rename(a.want.sandboxes["web"].Attachments[0].HostInterface, "myveth"); err != nil {
				t.Fatal(err)
			}
			a.reconcile()
			a.lookInside(nil)
		},
	} {
		w := newWorld(t)
		a := w.agent()
		if err := createSandbox("web", nil)(a); err != nil {
			t.Fatal(err)
		}
		before, link := w.all(), a.want.sandboxes["web"].Attachments[0].HostInterface
		ns := w.netns["/fake/ebnet-web"]
		ns["foo0"] = ns["eth0"]
		delete(ns, "eth0")
		w.inside[link] = place{"/fake/ebnet-web", "foo0"}
		look(w, a)
		if after := w.all(); after != before || len(a.problems) > 0 {
			t.Errorf("%s: problems %q:\n%s\nbefore:\n%s", when, a.problems, after, before)
		}
	}
}

// TestBridgeSettings: a bridge is ebnet's by the store, whatever it looks like.
func TestBridgeSettings(t *testing.T) {
	other := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1400, MAC: other, Addrs: prefixes("10.30.0.7/24")})
	a := w.agent()
	if err := createNetwork(api.NetworkCreate{Name: "dock", Bridge: "docker0"})(a); err != nil {
		t.Fatal(err)
	}
	own := w.links["ebnet0"]
	for _, look := range []func(){a.reconcile, func() { a = w.agent() }} {
		l := own
		l.MAC, l.MTU = other, 1300
		w.change(l)
		look()
		if got := w.links["ebnet0"]; !bytes.Equal(got.MAC, own.MAC) || got.MTU != own.MTU {
			t.Errorf("the bridge has MAC address %s and MTU %d, want %s and %d", got.MAC, got.MTU, own.MAC, own.MTU)
		}
		if got := w.links["docker0"]; !bytes.Equal(got.MAC, other) || got.MTU != 1400 {
			t.Errorf("somebody else's bridge has become %+v", got)
		}
	}
	a.reconcile()
	for _, change := range []func(*netdev.LinkInfo){
		func(l *netdev.LinkInfo) { l.MAC = other }, func(l *netdev.LinkInfo) { l.MAC, l.Addrs = other, nil },
	} {
		before, l := a.repairs["bridge"], own
		change(&l)
		w.change(l)
		a.reconcile()
		if got := w.links["ebnet0"]; !bytes.Equal(got.MAC, own.MAC) || !slices.Equal(got.Addrs, own.Addrs) || a.repairs["bridge"] != before+1 {
			t.Errorf("the bridge is %+v, repairs %v", got, a.repairs)
		}
	}
}

// TestBridgeRoutes removes what the kernel made with a bridge's address.
func TestBridgeRoutes(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("10.30.0.7/24")})
	a := w.agent()
	if err := createNetwork(api.NetworkCreate{Name: "dock", Bridge: "docker0"})(a); err != nil {
		t.Fatal(err)
	}
	own := w.links["ebnet0"].Addrs[0]
	w.unrouted[own] = true
	a.reconcile()
	if w.unrouted[own] || a.repairs["bridge"] != 1 || len(a.problems) > 0 {
		t.Errorf("not repaired, repairs %v, problems %q", a.repairs, a.problems)
	}
	w.unrouted[own] = true
	a = w.agent()
	if w.unrouted[own] {
		t.Error("not repaired at the start")
	}
	foreign := w.links["docker0"].Addrs[0]
	w.unrouted[foreign] = true
	w.arm(0, false)
	a.reconcile()
	want := "network dock: the routes to 10.30.0.0/24 by docker0 are gone: take 10.30.0.7/24 off it and add it again"
	if got := strings.Join(a.problems, "\n"); got != want || !w.unrouted[foreign] || len(w.calls) > 0 {
		t.Errorf("problems %q, want %q; calls %q", got, want, w.calls)
	}
	delete(w.unrouted, foreign)
	a.reconcile()
	if len(a.problems) > 0 {
		t.Errorf("problems %q where all is well", a.problems)
	}
}
