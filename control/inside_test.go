package control

import (
	"net"
	"strings"
	"testing"
)

// TestLookInside breaks what is in a sandbox, which nothing on the host's side
// shows, and lets the agent look.
func TestLookInside(t *testing.T) {
	for name, sabotage := range map[string]func(fakeNetns){
		"lo is down":                   func(ns fakeNetns) { ns["lo"].up = false },
		"eth1 is down":                 func(ns fakeNetns) { ns["eth1"].up = false },
		"eth1 is not there":            func(ns fakeNetns) { ns["eth1"], ns["left"] = ns["left"], nil; delete(ns, "eth1"); delete(ns, "left") },
		"10.7.0.2/24 is not on eth1":   func(ns fakeNetns) { ns["eth1"].addrs = prefixes("10.7.0.3/24") },
		"eth1 has another MAC address": func(ns fakeNetns) { ns["eth1"].mac = net.HardwareAddr{2, 0, 0, 0, 0, 1} },
		"eth0 has another MTU":         func(ns fakeNetns) { ns["eth0"].mtu = 1300 },
		"no default route":             func(ns fakeNetns) { ns["eth0"].way = false },
		"a rule, which is not counted": func(ns fakeNetns) { delete(ns, "rule 1000") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.agent()
			err := all(
				createNetwork(apiBlue), createSandbox("web", []string{"default", "blue"}), createSandbox("db", nil),
				createSandbox("n", []string{"none"}), createSandbox("h", []string{"host"}),
			)(a)
			if err != nil {
				t.Fatal(err)
			}
			before := w.all()
			w.arm(0, false)
			a.lookInside(nil)
			if after := w.all(); after != before || len(a.repairs) > 0 {
				t.Fatalf("repairs %v where nothing was wrong:\n%s\nbefore:\n%s", a.repairs, after, before)
			}
			sabotage(w.netns["/fake/ebnet-web"])
			a.lookInside(nil)
			if name == "eth1 is not there" {
				// That takes more than a look: the reconcile that it asks for.
				if len(a.kick) == 0 {
					t.Error("no reconcile asked for")
				}
				w.lose(a.want.sandboxes["web"].Attachments[1].HostInterface) // goes with its other end
				a.reconcile()
			}
			if after := w.all(); after != before {
				t.Errorf("not repaired:\n%s\nbefore:\n%s", after, before)
			}
			if counted := len(a.repairs) > 0; counted == strings.Contains(name, "not counted") {
				t.Errorf("repairs %v", a.repairs)
			}
			if len(a.unsure) > 0 {
				t.Errorf("still unsure of %v", a.unsure)
			}
		})
	}
}

// TestLookInsideFails: what a look cannot repair becomes a problem, until it is well.
func TestLookInsideFails(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	if err := createSandbox("web", nil)(a); err != nil {
		t.Fatal(err)
	}
	before := w.all()
	w.netns["/fake/ebnet-web"]["eth0"].way = false
	w.arm(1, true)
	a.lookInside(nil)
	a.reconcile()
	if got := strings.Join(a.problems, " "); len(a.kick) == 0 || !strings.Contains(got, "repair sandbox web") {
		t.Errorf("problems %q, asked for %d reconciles", got, len(a.kick))
	}
	w.arm(0, false)
	a.reconcile()
	if after := w.all(); after != before || len(a.problems) > 0 || len(a.unsure) > 0 {
		t.Errorf("not repaired, problems %q:\n%s\nbefore:\n%s", a.problems, after, before)
	}
}
