package control

import (
	"errors"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// TestDockersIsRefused: nothing of Docker's can be changed here, and the error says how
// it can.
func TestDockersIsRefused(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	a := w.agent()
	if err := all(createSandbox("own", nil), createNetwork(apiBlue))(a); err != nil {
		t.Fatal(err)
	}
	before := w.all()
	for _, row := range []struct {
		do   func(*Agent) error
		want string
	}{
		{
			func(a *Agent) error { return a.RemoveSandbox(t.Context(), "docker/web") },
			`remove sandbox docker/web: it belongs to Docker: use "docker rm web"`,
		},
		{
			func(a *Agent) error { return a.RemoveSandbox(t.Context(), "web") },
			`remove sandbox docker/web: it belongs to Docker: use "docker rm web"`,
		},
		{removeNetwork("bridge"), `remove network docker/bridge: it belongs to Docker, which keeps it`},
		{
			connect("bridge", "web"),
			`connect sandbox docker/web to network docker/bridge: it belongs to Docker: use "docker network connect bridge web"`,
		},
		{connect("blue", "web"), "connect sandbox docker/web to network blue: sandbox docker/web belongs to Docker and can be on Docker's networks only"},
		{connect("bridge", "own"), "connect sandbox own to network docker/bridge: network docker/bridge belongs to Docker and is for its containers only"},
		{
			disconnect("bridge", "web"),
			`disconnect sandbox docker/web from network docker/bridge: it belongs to Docker: use "docker network disconnect bridge web"`,
		},
		{
			func(a *Agent) error { _, err := a.Unpublish(t.Context(), hostSpec("8080")); return err },
			`unpublish 8080/tcp: it belongs to Docker: use "docker rm web", or "ebnet allow" to limit who may connect`,
		},
		{createSandbox("new", []string{"bridge"}), "create sandbox new: network docker/bridge belongs to Docker and is for its containers only"},
		{createSandbox("docker/new", nil), `name "docker/new" is for what Docker has: make it with "docker", or leave out "docker/"`},
		{createNetwork(api.NetworkCreate{Name: "docker/new"}), `name "docker/new" is for what Docker has: make it with "docker", or leave out "docker/"`},
	} {
		err := row.do(a)
		if err == nil || err.Error() != row.want || !errors.Is(apiError(err), api.ErrUnprocessable) {
			t.Errorf("got  %v\nwant %s", err, row.want)
		}
	}
	err := createNetwork(api.NetworkCreate{Name: "mine", Bridge: "docker0"})(a)
	if !errors.Is(apiError(err), api.ErrConflict) || !strings.Contains(err.Error(), "bridge docker0 is that of network docker/bridge") {
		t.Errorf("a network on Docker's bridge: %v", err)
	}
	if after := w.all(); after != before {
		t.Errorf("changed:\n%s\nbefore:\n%s", after, before)
	}
}

// TestBridgeOfOurs: a bridge that ebnet has a network on already is not adopted, and its
// sandboxes stay.
func TestBridgeOfOurs(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("172.17.0.1/16")})
	if err := all(createNetwork(api.NetworkCreate{Name: "mine", Bridge: "docker0"}), createSandbox("own", []string{"mine"}))(w.agent()); err != nil {
		t.Fatal(err)
	}
	w.webWorld()
	a := w.agent()
	if len(a.problems) != 1 || a.problems[0] != "Docker's network bridge is not adopted: its bridge docker0 is that of network mine" {
		t.Errorf("problems %q", a.problems)
	}
	if len(w.programs[w.links["veth1234567"].Index]) > 0 || len(w.endpoints) != 1 || len(w.publishes) > 0 {
		t.Errorf("adopted:\n%s", w)
	}
}

// TestPublishOnContainer: what can be published on one that runs, and on one that does not.
func TestPublishOnContainer(t *testing.T) {
	w := newWorld(t)
	inner := dockerNetwork("inner", "br-inner", "172.30.0.0/16")
	inner.Internal = true
	world := w.dockerWorld(
		container("alone"), container("deep", "inner 172.30.0.2/16"), stopped(container("stopped")), container("web", "bridge 172.17.0.2/16"),
	)
	world.Networks = append(world.Networks, inner)
	w.docker.world = &world
	a := w.agent()
	for _, row := range []struct{ sandbox, network, want string }{
		{"web", "", ""},
		{"web", "bridge", ""},
		{"web", "inner", "network docker/inner is internal"},
		{"web", "default", "sandbox docker/web is not on network default"},
		{"alone", "", "sandbox docker/alone has no network"},
		{"deep", "", "network docker/inner is internal"},
		{"stopped", "", ""},
		{"stopped", "docker/bridge", ""},
		{"stopped", "red", `there is no network "red"`},
	} {
		p, err := a.Publish(t.Context(), api.PublishCreate{Spec: spec("0:80"), Sandbox: row.sandbox, Network: row.network})
		if row.want == "" && (err != nil || p[0].Owner != "ebnet" || p[0].Sandbox != "docker/"+row.sandbox) {
			t.Errorf("%+v: %+v, %v", row, p, err)
		}
		if row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%+v: %v", row, err)
		}
	}
	if len(w.publishes) != 4 || len(a.want.publishes) != 4 || w.reserved.Len() != 4 {
		t.Errorf("%d in the datapath, %d wanted, %v reserved", len(w.publishes), len(a.want.publishes), w.reserved)
	}
	status, err := a.Status(t.Context())
	if err != nil || status.Published != 2 {
		t.Errorf("%d published, %v", status.Published, err)
	}
	for _, p := range a.want.publishList() {
		c := api.AllowChange{Spec: hostSpec(strings.TrimSuffix(hostSide(p), "/tcp")), Set: prefixes("192.0.2.0/24")}
		if _, err := a.ChangeAllow(t.Context(), c); err != nil {
			t.Error(err)
		}
		if _, err := a.Unpublish(t.Context(), c.Spec); err != nil {
			t.Error(err)
		}
	}
	if len(w.publishes) > 0 || len(a.want.publishes) > 0 || w.reserved.Len() > 0 || a.registry.Count() > 0 {
		t.Errorf("something is left: %s", w)
	}
}

func TestResolve(t *testing.T) {
	sandboxes := map[string]store.Sandbox{"web": {}, "docker/web": {}, "docker/db": {}, "docker/app": {}, "cni/app": {}}
	for name, want := range map[string]string{
		"web": "web", "docker/web": "docker/web", "db": "docker/db", "cni/app": "cni/app", "none": "", "docker": "", "docker/none": "",
		"app": `"app" can be cni/app or docker/app: say which`,
	} {
		full, found, err := resolve(sandboxes, name)
		if err != nil {
			full = err.Error()
		}
		if full != want || found != (err == nil && want != "") {
			t.Errorf("%s: %q, %v, want %q", name, full, found, want)
		}
	}
}
