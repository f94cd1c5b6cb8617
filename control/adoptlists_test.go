package control

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/store"
)

// anew is a container of the same name in another's place.
func anew(c engine.Container) engine.Container {
	c.ID = strings.ToUpper(c.ID)
	return c
}

// renamed is a container under another name.
func renamed(c engine.Container, name string) engine.Container {
	c.Name = name
	return c
}

// limited are the source lists that the datapath has, by ports.
func (w *world) limited() string {
	var out []string
	for _, p := range w.publishes {
		if list := w.allowed[p.Slot]; len(list) > 0 {
			out = append(out, fmt.Sprint(p.HostPort, "-", p.HostPortEnd, " ", list[0].Addr()))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// mustAllow sets the source list of ports.
func mustAllow(t *testing.T, a *Agent, ports, source string) {
	t.Helper()
	if err := allow(api.AllowChange{Spec: hostSpec(ports), Set: prefixes(source)})(a); err != nil {
		t.Fatal(err)
	}
}

// TestListOfHostPort: a source list stays with the host port, whichever container Docker
// publishes there and however long there is none.
func TestListOfHostPort(t *testing.T) {
	w := newWorld(t)
	web := on(container("web", "bridge 172.17.0.2/16"), "8080:80")
	elsewhere := on(container("web", "bridge 172.17.0.3/16"), "8080:81", "9000:90")
	shop := on(container("shop", "bridge 172.17.0.2/16"), "8080:80")
	w.dockerWorld(web)
	a := w.agent()
	mustAllow(t, a, "8080", "192.0.2.0/24")
	const list = "8080-8080 192.0.2.0"
	for _, step := range []struct {
		what  string
		world []engine.Container
		want  string
	}{
		{"recreated at once, at the same address", []engine.Container{anew(web)}, list},
		{"gone", nil, ""},
		{"back", []engine.Container{web}, list},
		{"recreated, beside the old one", []engine.Container{anew(elsewhere), stopped(renamed(web, "web_old"))}, list},
		{"another name", []engine.Container{shop}, list},
		{"another port", []engine.Container{on(container("web", "bridge 172.17.0.2/16"), "8081:80")}, ""},
		{"another address of the host", []engine.Container{on(container("web", "bridge 172.17.0.2/16"), "127.0.0.1:8080:80")}, ""},
		{"another protocol", []engine.Container{on(container("web", "bridge 172.17.0.2/16"), "8080:80/udp")}, ""},
		{"in a range", []engine.Container{on(container("web", "bridge 172.17.0.2/16"), "8079-8082:79-82")}, list},
		{"the old one", []engine.Container{web}, list},
	} {
		w.arm(0, false)
		a.Adopt(w.dockerWorld(step.world...))
		if got := w.limited(); got != step.want {
			t.Errorf("%s: limited are %q, want %q", step.what, got, step.want)
		}
		a.reconcile()
		for _, agent := range []string{"with dockerd", "without dockerd"} {
			if agent == "without dockerd" {
				w.docker.world = nil
			}
			w.agent()
			if got := w.limited(); got != step.want {
				t.Errorf("%s, after a restart %s: limited are %q, want %q", step.what, agent, got, step.want)
			}
		}
		w.reboot()
		w.docker.world = nil
		w.dockerWorld(step.world...)
		a = w.agent()
		if got := w.limited(); got != step.want {
			t.Errorf("%s, after a reboot: limited are %q, want %q", step.what, got, step.want)
		}
	}
	a.Adopt(w.dockerWorld(anew(web)))
	if err := allow(api.AllowChange{Spec: hostSpec("8080"), Any: true})(a); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, c := range []engine.Container{anew(web), web, shop} {
			a.Adopt(w.dockerWorld(c))
			a.reconcile()
			if got := w.limited(); got != "" {
				t.Errorf("opened again, but limited are %q", got)
			}
		}
		a = w.agent()
	}
}

// TestListIsThereFirst: there is no moment at which a new container's port has no list.
func TestListIsThereFirst(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld(on(container("web", "bridge 172.17.0.2/16"), "8080:80"))
	a := w.agent()
	mustAllow(t, a, "8080", "192.0.2.0/24")
	a.Adopt(w.dockerWorld())
	var log bytes.Buffer
	a.log = slog.New(slog.NewTextHandler(&log, nil))
	world := w.dockerWorld(anew(on(container("web", "bridge 172.17.0.3/16"), "8080:80")))
	w.arm(0, false)
	a.Adopt(world)
	if got := w.limited(); got != "8080-8080 192.0.2.0" || slices.Contains(w.calls, "set allowed") {
		t.Errorf("limited are %q after %q", got, w.calls)
	}
	a.Adopt(world)
	a.reconcile()
	a.Adopt(world)
	if got := strings.Count(log.String(), `level=INFO msg="source list of 0.0.0.0:8080/tcp applies to docker/web" allow=1`); got != 1 {
		t.Errorf("told %d times:\n%s", got, &log)
	}
}

// TestListOfRange: lists hold for the ports that they were made for, in whatever ranges
// Docker publishes these.
func TestListOfRange(t *testing.T) {
	w := newWorld(t)
	web := func(ports ...string) engine.World {
		return w.dockerWorld(anew(on(container("web", "bridge 172.17.0.2/16"), ports...)))
	}
	w.dockerWorld(on(container("web", "bridge 172.17.0.2/16"), "8000-8003:80-83"))
	a := w.agent()
	mustAllow(t, a, "8000-8003", "192.0.2.0/24")
	for _, step := range []struct {
		ports           string
		limited, change string
	}{
		{"8002-8005:82-85", "8002-8003 192.0.2.0", "8002-8003"},
		{"8000-8003:80-83", "8000-8001 192.0.2.0, 8002-8003 198.51.100.0", "8001-8001"},
		{"7000-8999:1000-2999", "8000-8000 192.0.2.0, 8001-8001 198.51.100.0, 8002-8003 198.51.100.0", ""},
		{"8001:81", "8001-8001 198.51.100.0", ""},
	} {
		a.Adopt(web(step.ports))
		a.reconcile()
		if got := w.limited(); got != step.limited {
			t.Errorf("%s: limited are %q, want %q", step.ports, got, step.limited)
		}
		if step.change == "8002-8003" {
			mustAllow(t, a, step.change, "198.51.100.0/24")
		}
		if step.change == "8001-8001" {
			a.Adopt(web("8001:81"))
			mustAllow(t, a, "8001", "198.51.100.0/24")
		}
	}
	total := 0
	for _, p := range w.publishes {
		if p.Port-80 != p.HostPort-8000 {
			t.Errorf("%d leads to %d", p.HostPort, p.Port)
		}
		total += int(p.HostPortEnd-p.HostPort) + 1
	}
	if total != 1 || a.registry.Count() != 1 {
		t.Errorf("%d published, %d registered", total, a.registry.Count())
	}
}

// TestListOfChosenPort: a list of a port that Docker chooses at each start goes with it,
// and stays for whoever has the port that it was on.
func TestListOfChosenPort(t *testing.T) {
	w := newWorld(t)
	web, other := container("web", "bridge 172.17.0.2/16"), container("other", "bridge 172.17.0.3/16")
	w.dockerWorld(on(web, "49153-49154:80-81"))
	a := w.agent()
	mustAllow(t, a, "49153-49154", "192.0.2.0/24")
	for _, step := range []struct {
		containers []engine.Container
		limited    string
		lists      int
	}{
		{[]engine.Container{on(web, "49154-49155:80-81")}, "49154-49154 192.0.2.0, 49155-49155 192.0.2.0", 2},
		{[]engine.Container{stopped(web), on(other, "49154:80")}, "49154-49154 192.0.2.0", 2},
		{[]engine.Container{on(web, "49156-49157:80-81"), on(other, "49154:80")}, "49154-49154 192.0.2.0, 49156-49156 192.0.2.0, 49157-49157 192.0.2.0", 3},
		{[]engine.Container{on(web, "49159:80", "49158:81"), stopped(other)}, "49158-49158 192.0.2.0, 49159-49159 192.0.2.0", 3},
	} {
		a.Adopt(w.dockerWorld(step.containers...))
		a.reconcile()
		if got := w.limited(); got != step.limited || len(a.want.lists) != step.lists {
			t.Errorf("limited are %q, want %q, with lists %+v", got, step.limited, a.want.lists)
		}
		a = w.agent()
	}
}

// TestAllowWhileStopped says why nothing is published, and can end the list all the same.
func TestAllowWhileStopped(t *testing.T) {
	w := newWorld(t)
	web := on(container("web", "bridge 172.17.0.2/16"), "8080:80", "9000:90")
	w.dockerWorld(web)
	a := w.agent()
	mustAllow(t, a, "8080", "192.0.2.0/24")
	refused := func(ports, want string) {
		t.Helper()
		err := allow(api.AllowChange{Spec: hostSpec(ports), Add: prefixes("10.0.0.0/8")})(a)
		if err == nil || err.Error() != "allow "+ports+"/tcp: "+want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	refused("8081", `nothing is published there: "ebnet port" lists what is`)
	a.Adopt(w.dockerWorld(stopped(web)))
	refused("8080", `docker/web does not run, so nothing is published there until it does: its source list is kept until then, and "--any" ends it`)
	refused("9000", `nothing that runs is published there: "ebnet port" lists what is, and Docker publishes the ports of a container when that starts`)
	a.Adopt(w.dockerWorld())
	refused("8080", `Docker publishes nothing there until a container with that port runs: its source list is kept until then, and "--any" ends it`)
	if err := allow(api.AllowChange{Spec: hostSpec("8080"), Any: true})(a); err != nil {
		t.Error(err)
	}
	refused("8080", `nothing is published there: "ebnet port" lists what is`)
	a = w.agent()
	a.Adopt(w.dockerWorld(web))
	if got := w.limited(); got != "" {
		t.Errorf("limited are %q", got)
	}
}

// TestListFromContainer: lists of a store of an earlier version apply, and can be ended.
func TestListFromContainer(t *testing.T) {
	w := newWorld(t)
	web := on(container("web", "bridge 172.17.0.2/16"), "8080-8081:80-81")
	w.dockerWorld(web)
	w.agent()
	err := w.store.Update(func(tx *store.Tx) error {
		sb, err := tx.Sandbox("docker/web")
		if err != nil {
			return err
		}
		sb.Allow = []store.PortAllow{{
			Proto: "tcp", HostIP: web.Ports[0].HostIP, HostPort: 8080, Port: 80, Allow: prefixes("192.0.2.0/24"),
		}}
		return tx.PutSandbox(sb)
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if a := w.agent(); w.limited() != "8080-8081 192.0.2.0" {
			t.Errorf("limited are %q, lists %+v", w.limited(), a.want.lists)
		}
	}
	if err := allow(api.AllowChange{Spec: hostSpec("8080-8081"), Any: true})(w.agent()); err != nil {
		t.Fatal(err)
	}
	if w.agent(); w.limited() != "" {
		t.Errorf("limited are %q", w.limited())
	}
}

// TestListOfIPv4HoldsForIPv6: a port that was limited before Docker published it on IPv6 is
// not open there, until somebody says so.
func TestListOfIPv4HoldsForIPv6(t *testing.T) {
	w := newWorld(t)
	old := on(container("web", "bridge 172.17.0.2/16"), "8080:80")
	w.dockerWorld(old)
	a := w.agent()
	mustAllow(t, a, "8080", "192.0.2.0/24")
	both := on(anew(old), "[::]:8080:80")
	both.Endpoints[0].Addresses = prefixes("172.17.0.2/16", "fd00:77::2/64")
	world := w.dockerWorld(both)
	world.Networks[0].Subnets = append(world.Networks[0].Subnets, engine.Subnet{Prefix: netip.MustParsePrefix("fd00:77::/64")})
	a.Adopt(world)
	a.reconcile()
	const one = "8080-8080 192.0.2.0"
	if got := w.limited(); got != one+", "+one {
		t.Errorf("limited: %s", got)
	}
	if err := allow(api.AllowChange{Spec: hostSpec("[::]:8080"), Set: prefixes("2001:db8::/32")})(a); err != nil {
		t.Fatal(err)
	}
	a.Adopt(world)
	if got := w.limited(); got != one+", 8080-8080 2001:db8::" {
		t.Errorf("limited: %s", got)
	}
	if err := allow(api.AllowChange{Spec: hostSpec("8080"), Any: true})(a); err != nil {
		t.Fatal(err)
	}
	a.Adopt(world)
	if got := w.limited(); got != "" {
		t.Errorf("limited: %s", got)
	}
}
