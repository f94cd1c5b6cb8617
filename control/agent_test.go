package control

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
)

func TestAddressesRest(t *testing.T) {
	w := newWorld(t)
	first, err := w.agent().CreateSandbox(t.Context(), api.SandboxCreate{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.last.RemoveSandbox(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	second, err := w.agent().CreateSandbox(t.Context(), api.SandboxCreate{Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if first.Endpoints[0].Addresses[0] == second.Endpoints[0].Addresses[0] {
		t.Errorf("%s is given out again at once", first.Endpoints[0].Addresses[0])
	}
}

// TestManyClients lets clients work side by side, which all end where they began.
func TestManyClients(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	before := w.all()
	client := func(name string) error {
		for range 5 {
			c := api.SandboxCreate{Name: name, Publish: []api.PublishSpec{spec("0:80"), spec("0:53/udp")}}
			if _, err := a.CreateSandbox(t.Context(), c); err != nil {
				return err
			}
			p, err := a.Publish(t.Context(), api.PublishCreate{Spec: spec("0:81-85"), Sandbox: name})
			if err != nil {
				return err
			}
			a.reconcile()
			_, status := a.Status(t.Context())
			_, sandboxes := a.Sandboxes(t.Context())
			_, networks := a.Networks(t.Context())
			a.MetricsView()
			_, unpublish := a.Unpublish(t.Context(), p[0].Host())
			if err := errors.Join(status, sandboxes, networks, unpublish, a.RemoveSandbox(t.Context(), name)); err != nil {
				return err
			}
		}
		return nil
	}
	results := make(chan error)
	const clients = 8
	for i := range clients {
		go func() { results <- client(fmt.Sprintf("s%d", i)) }()
	}
	for range clients {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if after := w.all(); after != before {
		t.Errorf("something is left:\n%s\nbefore:\n%s", after, before)
	}
}

func TestMetricsView(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	_, err := a.CreateSandbox(t.Context(), api.SandboxCreate{Name: "web", Publish: []api.PublishSpec{spec("8080:80"), spec("9000-9010:9000-9010/udp")}})
	if err != nil {
		t.Fatal(err)
	}
	v := a.MetricsView()
	if v.Networks[1] != "default" || len(v.Sandboxes) != 1 || len(v.Publishes) != 2 || v.Reconciles.Count != 1 || !v.Ready {
		t.Errorf("view %+v", v)
	}
	for slot, p := range v.Publishes {
		if p.Proto == "udp" && (p.HostPorts != "9000-9010" || p.Ports != 11 || p.Sandbox != "web" || p.Network != "default" || p.HostIP != "0.0.0.0") {
			t.Errorf("publish %d: %+v", slot, p)
		}
	}
	if want := "[198.51.100.1]"; fmt.Sprint(v.Uplinks) != want {
		t.Errorf("uplinks %v, want %s", v.Uplinks, want)
	}
}

func TestStatusProblems(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	if _, err := a.CreateSandbox(t.Context(), api.SandboxCreate{Name: "web", Publish: []api.PublishSpec{spec("198.51.100.1:80:80")}}); err != nil {
		t.Fatal(err)
	}
	problems := func() string {
		status, err := a.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(status.Problems, "\n")
	}
	if got := problems(); got != "" {
		t.Fatalf("problems %q where there are none", got)
	}
	a.firewall = func() (bool, string, error) { return true, "nftables chain input", nil }
	if got := problems(); got != "" {
		t.Errorf("firewall warning without a port open to all: %s", got)
	}
	if _, err := a.Publish(t.Context(), api.PublishCreate{Spec: spec("8080:80")}); err != nil {
		t.Fatal(err)
	}
	if got := problems(); !strings.Contains(got, "nftables chain input") {
		t.Errorf("no firewall warning: %q", got)
	}
	delete(w.programs, w.links["up0"].Index)
	w.programs[0] = w.programs[0][:1]
	for _, want := range []string{"no program at egress of up0", "1 socket programs are missing"} {
		if got := problems(); !strings.Contains(got, want) {
			t.Errorf("problems %q, want %q", got, want)
		}
	}
	w.lose("up0")
	w.routes = routes("192.168.0.0/16", "172.16.0.0/12")
	a.reconcile()
	for _, want := range []string{"there is no uplink", "overlaps network default", "the host does not own 198.51.100.1"} {
		if got := problems(); !strings.Contains(got, want) {
			t.Errorf("problems %q, want %q", got, want)
		}
	}
}

func TestPurge(t *testing.T) {
	w := newWorld(t)
	w.reserved.Add(22, 22)
	untouched := w.all()
	a := w.agent()
	for _, c := range []api.SandboxCreate{
		{Name: "web", Publish: []api.PublishSpec{spec("8080:80")}},
		{Name: "n", Networks: []api.Attachment{{Network: "none"}}},
		{Name: "h", Networks: []api.Attachment{{Network: "host"}}},
	} {
		if _, err := a.CreateSandbox(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	before := w.all()
	if _, err := w.CreateVeth(vethOf("eb00000000001")); err != nil { // of a lost store
		t.Fatal(err)
	}
	w.arm(0, false)
	if err := a.Purge(t.Context(), api.Purge{}); err != nil {
		t.Fatal(err)
	}
	if all := <-a.purged; all {
		t.Error("the store is to be deleted, which nobody asked for")
	}
	if n := slices.Index(w.calls, "end processes"); n < 0 || slices.Index(w.calls, "delete netns") < n {
		t.Errorf("processes outlive their namespace: %q", w.calls)
	}
	ended := 0
	for _, call := range w.calls {
		if call == "end processes" {
			ended++
		}
	}
	if ended != 2 { // those of web and n, never the host's
		t.Errorf("processes of %d namespaces ended: %q", ended, w.calls)
	}
	clear(w.endpoints) // the maps went with the programs
	clear(w.networks)
	clear(w.publishes)
	w.addrs = nil
	kernel, _, _ := strings.Cut(w.all(), "\nnetwork default")
	want, _, _ := strings.Cut(untouched, "\nfiles")
	if kernel != want {
		t.Errorf("purge left something:\n%s\nbefore the first agent:\n%s", kernel, want)
	}
	a.reconcile()
	a.ownerEnded("web", a.want.sandboxes["web"].ID)
	if !w.exists(a, "web") {
		t.Error("a purged agent still removes sandboxes")
	}
	if again, _, _ := strings.Cut(w.all(), "\nnetwork default"); again != want {
		t.Error("a reconcile brought things back")
	}
	w.agent()
	if again := w.all(); again != before {
		t.Errorf("the next agent has not made all again:\n%s\nbefore:\n%s", again, before)
	}
}

func TestReload(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	o := a.opt
	o.Uplinks, o.HostIP, o.Prefix = []string{"late"}, netip.MustParseAddr("127.0.0.1"), "other-"
	if got := fmt.Sprint(a.Reload(o)); got != "[--netns-prefix]" {
		t.Errorf("needs a restart: %s", got)
	}
	a.reconcile()
	if got := fmt.Sprint(a.problems); !strings.Contains(got, "uplink late is not there") {
		t.Errorf("problems %s", got)
	}
	c := api.SandboxCreate{Name: "web", Publish: []api.PublishSpec{spec("8080:80")}}
	sb, err := a.CreateSandbox(t.Context(), c)
	if err != nil || sb.Published[0].HostIP != "127.0.0.1" || sb.Netns != "/fake/ebnet-web" {
		t.Errorf("created %+v, %v", sb, err)
	}
}

// TestHostSandbox: nothing is ever done to the host's own namespace.
func TestHostSandbox(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	before := w.all()
	w.arm(0, false)
	create := api.SandboxCreate{Name: "h", Networks: []api.Attachment{{Network: "host"}}}
	if _, err := a.CreateSandbox(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	a.reconcile()
	a = w.agent()
	if err := a.RemoveSandbox(t.Context(), "h"); err != nil {
		t.Fatal(err)
	}
	for _, call := range w.calls {
		if strings.Contains(call, "netns") || call == "end processes" {
			t.Errorf("did %q to the host", call)
		}
	}
	if after := w.all(); after != before {
		t.Errorf("left something:\n%s\nbefore:\n%s", after, before)
	}
}

// TestPrefixChanges: what was made under another prefix stays what it is.
func TestPrefixChanges(t *testing.T) {
	w := newWorld(t)
	w.prefix = "old-"
	if _, err := w.agent().CreateSandbox(t.Context(), api.SandboxCreate{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	before := w.all()
	w.prefix = "new-"
	a := w.agent()
	if after := w.all(); after != before {
		t.Errorf("changed:\n%s\nbefore:\n%s", after, before)
	}
	if err := a.RemoveSandbox(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(w.all(), "web") {
		t.Errorf("not removed:\n%s", w.all())
	}
}
