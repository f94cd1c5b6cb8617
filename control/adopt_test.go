package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/engine/docker"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestAdopt: what Docker has is shown and served like ebnet's own.
func TestAdopt(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	up := w.links["up0"]
	up.MTU = 1400 // which is nothing to Docker
	w.change(up)
	a := w.agent()
	link := w.links["veth1234567"].Index
	if got := w.endpoints[uint32(link)]; got.Addr4.String() != "172.17.0.2" || int(got.Network) != int(a.want.networks["docker/bridge"].Index) {
		t.Errorf("endpoint %+v", got)
	}
	if got := fmt.Sprint(w.programs[link], w.programs[w.links["docker0"].Index]); got != "[tcx/ingress] [bridge/egress bridge/ingress]" {
		t.Errorf("programs %s", got)
	}
	if got := w.String(); !strings.Contains(got, "0.0.0.0:8080/tcp:172.17.0.2 80 [] held") || strings.Contains(got, "NAT") {
		t.Errorf("not published, or not as it should be:\n%s", got)
	}
	if w.reserved.Len() > 0 {
		t.Errorf("reserved %v, which dockerd holds itself", w.reserved)
	}
	sb, err := a.Sandbox(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	ep := sb.Endpoints[0]
	if sb.Name != "docker/web" || sb.Owner != "docker" || ep.Network != "docker/bridge" || ep.HostInterface != "veth1234567" || ep.Interface != "eth0" {
		t.Errorf("sandbox %+v", sb)
	}
	if p := sb.Published[0]; p.Owner != "docker" || p.Sandbox != "docker/web" || p.Address.String() != "172.17.0.2" {
		t.Errorf("published %+v", p)
	}
	n, err := a.Network(t.Context(), "bridge")
	if err != nil || n.Name != "docker/bridge" || n.Endpoints[0].Sandbox != "docker/web" || n.MTU != 1500 {
		t.Errorf("network %+v, %v", n, err)
	}
	v := a.MetricsView()
	for _, p := range v.Publishes {
		if p.Network != "docker/bridge" || p.Sandbox != "docker/web" {
			t.Errorf("metrics of %+v", p)
		}
	}
	for _, s := range v.Sandboxes {
		if s.Sandbox != "docker/web" || s.Ifindex != link {
			t.Errorf("metrics of %+v", s)
		}
	}
	if len(a.repairs) > 0 || len(a.problems) > 0 {
		t.Errorf("repairs %v, problems %q", a.repairs, a.problems)
	}
	w.arm(0, false)
	a.reconcile()
	if len(w.calls) > 0 {
		t.Errorf("a second look changed something: %q", w.calls)
	}
}

// TestAdoptWhileRunning: when Adopt returns, the ports that are new lead to their
// containers, before the store knows of them.
func TestAdoptWhileRunning(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld()
	a := w.agent()
	w.arm(0, false)
	a.Adopt(w.webWorld())
	if got := w.published(); got != "0.0.0.0:8080/tcp 172.17.0.2:80" {
		t.Errorf("published %q", got)
	}
	if slices.Contains(w.calls, "store") || slices.Contains(w.calls, "reserved ports") {
		t.Errorf("waited for something slow: %q", w.calls)
	}
	if len(a.kick) == 0 {
		t.Error("nothing follows")
	}
	a.reconcile()
	if got := w.all(); !strings.Contains(got, "sandbox docker/web docker/bridge") {
		t.Errorf("not stored:\n%s", got)
	}
}

// TestAgentWithoutDocker: an agent that starts while dockerd is away keeps all.
func TestAgentWithoutDocker(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	a := w.agent()
	if err := publish(api.PublishCreate{Spec: spec("9000:81"), Sandbox: "docker/web"})(a); err != nil {
		t.Fatal(err)
	}
	before, taken := w.all(), takenNow(a)
	w.docker.world, w.docker.state = nil, docker.State{Err: errors.New("connection refused")}
	w.arm(0, false)
	a = w.agent()
	if after := w.all(); after != before {
		t.Errorf("changed:\n%s\nbefore:\n%s", after, before)
	}
	for _, call := range w.calls {
		if call == "publish" || call == "unpublish" || call == "endpoint" || call == "attach" && slices.Index(w.calls, call) < 0 {
			t.Errorf("did %q again", call)
		}
	}
	if got := takenNow(a); got != taken {
		t.Errorf("taken %s, before %s", got, taken)
	}
	status, err := a.Status(t.Context())
	if err != nil || status.Engines[0].Connected || !strings.Contains(fmt.Sprint(status.Problems), "Docker does not answer on") {
		t.Errorf("status %+v, %v", status, err)
	}
	sb, err := a.Sandbox(t.Context(), "docker/web")
	if err != nil || sb.Endpoints[0].HostInterface != "veth1234567" {
		t.Errorf("sandbox %+v, %v", sb, err)
	}
}

// TestAgentThatLeavesDockerAlone: without --docker nothing of Docker's is served, and
// nothing is forgotten.
func TestAgentThatLeavesDockerAlone(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	a := w.agent()
	if err := publish(api.PublishCreate{Spec: spec("9000:81"), Sandbox: "web"})(a); err != nil {
		t.Fatal(err)
	}
	before := w.all()
	had := w.docker
	w.docker = nil
	a = w.agent()
	if len(w.publishes) > 0 || len(w.endpoints) > 0 || len(w.networks) != 1 || w.exists(a, "web") || w.reserved.Len() > 0 {
		t.Errorf("still serves Docker:\n%s", w.all())
	}
	for _, name := range []string{"docker0", "veth1234567"} {
		if l, ok := w.links[name]; !ok || len(w.programs[l.Index]) > 0 {
			t.Errorf("%s is gone, or still has a program", name)
		}
	}
	if err := createNetwork(api.NetworkCreate{Name: "blue"})(a); err != nil { // takes the number of Docker's
		t.Fatal(err)
	}
	w.docker = had
	world := w.docker.world
	w.docker.world = nil
	a = w.agent()
	if one, two := a.want.networks["blue"].Index, a.want.networks["docker/bridge"].Index; one == two || two == 0 || len(w.networks) != 3 {
		t.Errorf("blue is number %d, Docker's %d", one, two)
	}
	w.docker.world = world
	a = w.agent()
	if err := removeNetwork("blue")(a); err != nil {
		t.Fatal(err)
	}
	after := w.all()
	for _, part := range []string{"9000", "8080", "sandbox docker/web docker/bridge"} {
		if !strings.Contains(after, part) {
			t.Errorf("no %s:\n%s\nbefore:\n%s", part, after, before)
		}
	}
}

// TestContainerLife: what ebnet publishes on a container stays with it while it is
// stopped, moved and renamed, and goes with it.
func TestContainerLife(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld(stopped(container("web")))
	a := w.agent()
	if err := publish(api.PublishCreate{Spec: spec("9000:81"), Sandbox: "docker/web"})(a); err != nil {
		t.Fatal(err)
	}
	web := on(container("web", "bridge 172.17.0.2/16"), "8080:80")
	moved := on(container("web", "bridge 172.17.0.3/16"), "8080:80")
	renamed := moved
	renamed.Name = "shop"
	other := container("web", "bridge 172.17.0.9/16")
	other.ID = strings.Repeat("f", 64)
	for _, step := range []struct {
		what       string
		containers []engine.Container
		published  string // by the datapath
		sandbox    string // of what is published
	}{
		{"stopped", []engine.Container{stopped(web)}, "0.0.0.0:9000/tcp kept", "docker/web"},
		{"started", []engine.Container{web}, "0.0.0.0:8080/tcp 172.17.0.2:80, 0.0.0.0:9000/tcp 172.17.0.2:81", "docker/web"},
		{"another address", []engine.Container{moved}, "0.0.0.0:8080/tcp 172.17.0.3:80, 0.0.0.0:9000/tcp 172.17.0.3:81", "docker/web"},
		{"renamed, and a new one of the name", []engine.Container{renamed, other}, "0.0.0.0:8080/tcp 172.17.0.3:80, 0.0.0.0:9000/tcp 172.17.0.3:81", "docker/shop"},
		{"stopped again", []engine.Container{stopped(renamed), other}, "0.0.0.0:9000/tcp kept", "docker/shop"},
		{"removed", []engine.Container{other}, "", ""},
	} {
		a.Adopt(w.dockerWorld(step.containers...))
		for _, what := range []string{"at once", "after a reconcile", "after a restart"} {
			if got := w.published(); got != step.published {
				t.Errorf("%s, %s: published %q, want %q", step.what, what, got, step.published)
			}
			all, err := a.Publishes(t.Context(), "")
			for _, p := range all {
				if p.Sandbox != step.sandbox {
					t.Errorf("%s, %s: %d is published to %s", step.what, what, p.HostPort, p.Sandbox)
				}
			}
			kept := slices.ContainsFunc(all, func(p api.Publish) bool { return p.HostPort == 9000 })
			if err != nil || kept != (step.sandbox != "") {
				t.Errorf("%s, %s: %+v, %v", step.what, what, all, err)
			}
			if a.registry.Count() != len(all) {
				t.Errorf("%s, %s: %d ports registered for %d", step.what, what, a.registry.Count(), len(all))
			}
			if what == "at once" {
				a.reconcile()
			} else {
				a = w.agent()
			}
			if len(a.problems) > 0 {
				t.Errorf("%s: problems %q", step.what, a.problems)
			}
		}
	}
}

// TestWayOut: published ports go where the container's default route leads, also when
// that changes.
func TestWayOut(t *testing.T) {
	w := newWorld(t)
	world := w.dockerWorld(on(container("web", "bridge 172.17.0.2/16", "front 172.20.0.2/16"), "8080:80"))
	w.add(netdev.LinkInfo{Name: "br-front", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("172.20.0.1/16")})
	world.Networks = append(world.Networks, dockerNetwork("front", "br-front", "172.20.0.0/16"))
	w.docker.world = &world
	w.plug("veth1", "docker0", "/fake/docker-web", "eth0", "172.17.0.2/16")
	w.plug("veth2", "br-front", "/fake/docker-web", "eth1", "172.20.0.2/16")
	ns := w.netns["/fake/docker-web"]
	ns["eth1"].way = true
	a := w.agent()
	if err := publish(api.PublishCreate{Spec: spec("9000:81"), Sandbox: "web"})(a); err != nil {
		t.Fatal(err)
	}
	check := func(what, want string) {
		t.Helper()
		want = strings.ReplaceAll("0.0.0.0:8080/tcp ADDR:80, 0.0.0.0:9000/tcp ADDR:81", "ADDR", want)
		if got := w.published(); got != want {
			t.Errorf("%s: published %s, want %s", what, got, want)
		}
	}
	check("at first", "172.20.0.2")
	ns["eth0"].way, ns["eth1"].way = true, false
	a.lookInside(nil)
	check("the route has moved", "172.17.0.2")
	a.reconcile()
	check("after a reconcile", "172.17.0.2")
	delete(w.netns, "/fake/docker-web")
	world.Containers[0].Netns = "/fake/docker-web2" // cannot be read yet
	world.Containers[0].Endpoints[1].Default = true
	a.Adopt(world)
	check("told by Docker", "172.20.0.2")
	w.netns["/fake/docker-web2"] = ns
	a.reconcile()
	check("read later", "172.17.0.2")
	if one, two := w.endpoints[uint32(w.links["veth1"].Index)], w.endpoints[uint32(w.links["veth2"].Index)]; one.Sandbox != two.Sandbox || one.Sandbox == 0 {
		t.Errorf("endpoints of one container are those of %d and %d", one.Sandbox, two.Sandbox)
	}
}
