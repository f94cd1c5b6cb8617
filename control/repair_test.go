package control

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestRepair breaks what an agent has made, and lets it look.
func TestRepair(t *testing.T) {
	for name, sabotage := range map[string]func(w *world, a *Agent, link string){
		"bridge deleted":      func(w *world, _ *Agent, _ string) { w.lose("ebnet0") },
		"link deleted":        func(w *world, _ *Agent, link string) { w.lose(link) },
		"link down":           func(w *world, _ *Agent, link string) { l := w.links[link]; l.Up = false; w.links[link] = l },
		"link off the bridge": func(w *world, _ *Agent, link string) { l := w.links[link]; l.Master = 0; w.links[link] = l },
		"address removed":     func(w *world, _ *Agent, _ string) { l := w.links["ebnet0"]; l.Addrs = nil; w.links["ebnet0"] = l },
		"program gone":        func(w *world, _ *Agent, link string) { delete(w.programs, w.links[link].Index) },
		"bridge program gone": func(w *world, a *Agent, _ string) {
			w.programs[a.live.bridges["default"]] = []string{"bridge/ingress"}
		},
		"bridge with an uplink's programs": func(w *world, a *Agent, _ string) {
			w.programs[a.live.bridges["default"]] = []string{"tcx/egress", "tcx/ingress"}
		},
		"uplink program gone": func(w *world, _ *Agent, _ string) { delete(w.programs, w.links["up0"].Index) },
		"socket program gone": func(w *world, _ *Agent, _ string) { w.programs[0] = w.programs[0][:1] },
		"pins gone":           func(w *world, _ *Agent, _ string) { w.unpinned = []string{"flows", "tcx-ingress-1"} },
		"endpoint entry gone": func(w *world, _ *Agent, link string) { delete(w.endpoints, uint32(w.links[link].Index)) },
		"network entry gone":  func(w *world, _ *Agent, _ string) { clear(w.networks) },
		"publish gone":        func(w *world, _ *Agent, _ string) { clear(w.publishes) },
		"publish torn": func(w *world, _ *Agent, _ string) {
			for key, p := range w.publishes {
				delete(w.publishes, key)
				p.HostPortEnd--
				w.publishes[p.String()] = p
			}
		},
		"namespace deleted":       func(w *world, a *Agent, _ string) { _ = w.DeleteNetns("ebnet-web") },
		"namespace lost its name": func(w *world, _ *Agent, _ string) { delete(w.netns, "/fake/ebnet-web") },
		"resolver replaced": func(w *world, a *Agent, _ string) {
			_ = os.WriteFile(filepath.Join(a.opt.NetnsEtc, "ebnet-web", "resolv.conf"), nil, 0o644)
		},
		"sysctl reset":           func(w *world, _ *Agent, _ string) { w.reserved.Remove(1, 65535) },
		"fib link gone":          func(w *world, _ *Agent, _ string) { w.lose(fibLink) },
		"reboot":                 func(w *world, _ *Agent, _ string) { w.reboot() },
		"another bridge deleted": func(w *world, a *Agent, _ string) { w.lose(a.want.networks["blue"].Bridge) },
		"second link deleted":    func(w *world, a *Agent, _ string) { w.lose(a.want.sandboxes["web"].Attachments[1].HostInterface) },
		"isolation cleared": func(w *world, a *Agent, _ string) {
			l := w.links[a.want.sandboxes["web"].Attachments[1].HostInterface]
			l.Isolated = false
			w.change(l)
		},
		"source list changed": func(w *world, _ *Agent, _ string) {
			for slot := range w.allowed {
				w.allowed[slot] = nil
			}
		},
		"stranger's bridge": func(w *world, _ *Agent, _ string) {
			w.add(netdev.LinkInfo{Name: "eb-0123456789ab", Kind: "bridge", Up: true})
		},
		"stranger's link": func(w *world, _ *Agent, _ string) { _, _ = w.CreateVeth(vethOf("eb00000000001")) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.agent()
			err := all(
				createNetwork(api.NetworkCreate{Name: "blue", NoICC: true}),
				createSandbox("web", []string{"default", "blue"}),
				publish(api.PublishCreate{Spec: spec("8080-8081:80-81"), Allow: prefixes("192.0.2.0/24")}),
			)(a)
			if err != nil {
				t.Fatal(err)
			}
			before := w.all()
			sabotage(w, a, a.want.sandboxes["web"].Attachments[0].HostInterface)
			a.reconcile()
			if after := w.all(); after != before {
				t.Errorf("not repaired:\n%s\nbefore:\n%s", after, before)
			}
			if len(a.problems) > 0 {
				t.Errorf("problems: %q", a.problems)
			}
			if len(a.repairs) == 0 {
				t.Error("no repair counted")
			}
			w.arm(0, false)
			a.reconcile()
			if len(w.calls) > 0 {
				t.Errorf("a second look changed the kernel: %q", w.calls)
			}
		})
	}
}

func TestRestartChangesNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.agent().CreateSandbox(t.Context(), api.SandboxCreate{Name: "web", Publish: []api.PublishSpec{spec("8080:80")}})
	if err != nil {
		t.Fatal(err)
	}
	before, taken := w.all(), takenNow(w.last)
	w.arm(0, false)
	w.agent()
	if after := w.all(); after != before {
		t.Errorf("restart changed something:\n%s\nbefore:\n%s", after, before)
	}
	if got := takenNow(w.last); got != taken {
		t.Errorf("after the restart %s taken, before %s", got, taken)
	}
	for _, call := range w.calls {
		if call == "publish" || call == "unpublish" || call == "endpoint" || call == "veth" || call == "store" {
			t.Errorf("restart did %q again", call)
		}
	}
}

// TestRestartLooksInside has an agent die before it has configured a sandbox's
// inside, which nothing on the host's side shows.
func TestRestartLooksInside(t *testing.T) {
	w := newWorld(t)
	if _, err := w.agent().CreateSandbox(t.Context(), api.SandboxCreate{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	before := w.all()
	for _, dev := range w.netns["/fake/ebnet-web"] {
		*dev = fakeDevice{}
	}
	w.agent()
	if after := w.all(); after != before {
		t.Errorf("not repaired:\n%s\nbefore:\n%s", after, before)
	}
}
