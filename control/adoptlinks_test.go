package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// TestLinksComeFirst: a container's link gets its program when it is enslaved and its
// entry when the other end is up, whatever Docker has said by then.
func TestLinksComeFirst(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld()
	a := w.agent()
	w.arm(0, false)
	link := w.plug("veth1234567", "docker0", "/fake/docker-web", "eth0", "")
	a.linkEvent(netdev.LinkEvent{Link: link})
	if len(w.programs[link.Index]) != 1 || len(w.endpoints) > 0 {
		t.Errorf("enslaved: programs %v, endpoints %v", w.programs[link.Index], w.endpoints)
	}
	a.linkEvent(netdev.LinkEvent{Link: link}) // once more, of its MTU
	link.Carrier = true
	a.linkEvent(netdev.LinkEvent{Link: link}) // without an address yet
	*w.netns["/fake/docker-web"]["eth0"] = fakeDevice{up: true, addrs: prefixes("192.0.2.1/32", "172.17.0.2/16", "172.17.0.3/16")}
	a.linkEvent(netdev.LinkEvent{Link: link})
	late := link // of when the other end was still in the host's namespace
	late.NetnsID, late.Carrier = -1, false
	a.linkEvent(netdev.LinkEvent{Link: late})
	a.linkEvent(netdev.LinkEvent{Link: link})
	if ep := w.endpoints[uint32(link.Index)]; ep.Addr4.String() != "172.17.0.2" {
		t.Errorf("endpoint %+v", ep)
	}
	if got := fmt.Sprint(w.calls); got != "[attach endpoint]" {
		t.Errorf("did %s", got)
	}
	w.change(link)
	w.arm(0, false)
	a.reconcile()
	a.reconcile()
	if len(w.calls) > 0 {
		t.Errorf("a reconcile does not leave alone what nobody has named: %q", w.calls)
	}
	if v := a.MetricsView(); len(v.Sandboxes) > 0 {
		t.Errorf("metrics of %+v, which nobody has named", v.Sandboxes)
	}
	a.Adopt(w.dockerWorld(container("web", "bridge 172.17.0.2/16")))
	if ep := a.live.endpoints["veth1234567"]; ep.sandbox != "docker/web" || ep.slot != w.endpoints[uint32(link.Index)].Slot {
		t.Errorf("named %+v", ep)
	}
	a.reconcile()
	if len(a.repairs) > 0 {
		t.Errorf("repairs %v", a.repairs)
	}
	w.lose("veth1234567")
	a.linkEvent(netdev.LinkEvent{Link: link, Gone: true})
	if len(w.endpoints) > 0 || len(w.programs[link.Index]) > 0 || len(a.live.endpoints) > 0 || len(a.adopted.guests) > 0 {
		t.Errorf("left: endpoints %v, programs %v", w.endpoints, w.programs)
	}
	if sb, _ := a.Sandbox(t.Context(), "web"); sb.Endpoints[0].HostInterface != "" {
		t.Errorf("still behind %s", sb.Endpoints[0].HostInterface)
	}
}

// TestTakenInWithoutLoss: a container that runs already has its entry before its
// program, so that no packet of it is dropped.
func TestTakenInWithoutLoss(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld()
	a := w.agent()
	for name, act := range map[string]func(){
		"lost events": func() { a.linkEvent(netdev.LinkEvent{Resync: true}) },
		"reconcile":   a.reconcile,
	} {
		w.plug(strings.Fields(name)[0], "docker0", "/fake/"+name, "eth0", fmt.Sprintf("172.17.0.%d/16", len(name)))
		w.arm(0, false)
		act()
		entry, program := slices.Index(w.calls, "endpoint"), slices.Index(w.calls, "attach")
		if entry < 0 || program < entry {
			t.Errorf("%s: did %q", name, w.calls)
		}
	}
}

// TestNewNetwork: its containers are taken in with it, and its gateway is known as the
// host's, before the bridge's program refuses what has neither.
func TestNewNetwork(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld()
	a := w.agent()
	w.add(netdev.LinkInfo{Name: "br-front", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("172.20.0.1/16")})
	link := w.plug("veth2", "br-front", "/fake/docker-web", "eth1", "172.20.0.2/16")
	front := dockerNetwork("front", "br-front", "172.20.0.0/16")
	front.Subnets[0].Gateway = netip.Addr{} // Docker keeps it to itself
	world := w.dockerWorld(container("web", "front 172.20.0.2/16"))
	world.Networks = append(world.Networks, front)
	w.arm(0, false)
	a.Adopt(world)
	if got := fmt.Sprint(w.calls); got != "[network endpoint attach host addresses attach]" || len(w.programs[link.Index]) == 0 {
		t.Errorf("did %s", got)
	}
	var n api.Network
	for what, act := range []func(){func() {}, a.reconcile, func() { a.Adopt(world) }} { // at once, and ever after
		act()
		var err error
		n, err = a.Network(t.Context(), "front")
		if err != nil || fmt.Sprint(n.Gateways) != "[172.20.0.1]" || w.networks[a.want.networks[n.Name].Index].Gateway4.String() != "172.20.0.1" {
			t.Errorf("step %d: network %+v, %v", what, n, err)
		}
	}
	index := a.want.networks[n.Name].Index
	world.Networks = slices.Clone(world.Networks)
	world.Networks[0].ID = strings.Repeat("9", 64) // as after a restart of dockerd
	bridge := a.want.networks["docker/bridge"].Index
	a.Adopt(world)
	a.reconcile()
	if got := a.want.networks["docker/bridge"].Index; got != bridge || a.want.networks[n.Name].Index != index || len(w.networks) != 3 {
		t.Errorf("the default network is number %d, was %d; %v", got, bridge, w.networks)
	}
}

// TestDockerRules: with Docker's own rules the datapath leaves to the kernel what has
// begun, and the bridges are not guarded. It translates as well, whatever Docker says of
// its default network and whatever rules are there.
func TestDockerRules(t *testing.T) {
	w := newWorld(t)
	world := w.webWorld()
	world.Networks[0].Masquerade, world.Networks[0].MasqueradeUnknown = false, true
	a := w.agent()
	bridge := w.links["docker0"].Index
	for _, rules := range []bool{true, false, true} {
		w.docker.rules = rules
		a.reconcile()
		n := w.networks[a.want.networks["docker/bridge"].Index]
		if n.KernelNAT != rules || (len(w.programs[bridge]) > 0) == rules {
			t.Errorf("rules %v: %+v, programs %v", rules, n, w.programs[bridge])
		}
		status, err := a.Status(t.Context())
		if got := fmt.Sprint(status.Engines[0].Networks); err != nil || strings.Contains(got, "rules are there") != rules || len(status.Problems) > 0 {
			t.Errorf("rules %v: %s, problems %q, %v", rules, got, status.Problems, err)
		}
		if !n.Masquerade {
			t.Errorf("rules %v: does not masquerade", rules)
		}
	}
}

// TestMasqueradeOfDocker: where it is not known whether the default network is to be
// masqueraded, what was known before holds, also after Docker has made it anew.
func TestMasqueradeOfDocker(t *testing.T) {
	w := newWorld(t)
	world := w.webWorld()
	w.docker.rules = true
	a := w.agent()
	for i, step := range []struct{ says, unknown, want bool }{
		{true, false, true},
		{false, true, true},
		{false, false, false},
		{false, true, false},
		{true, false, true},
	} {
		world.Networks = slices.Clone(world.Networks)
		n := &world.Networks[0]
		n.ID, n.Masquerade, n.MasqueradeUnknown = strings.Repeat(fmt.Sprint(i), 64), step.says, step.unknown
		a.Adopt(world)
		a.reconcile()
		if got := w.networks[a.want.networks["docker/bridge"].Index]; got.Masquerade != step.want {
			t.Errorf("step %d: masquerades: %v, want %v", i, got.Masquerade, step.want)
		}
	}
}

// TestDockersIPv6: a network with IPv6 is served by both families, and of a container that
// has one alone what Docker publishes for the other is left out.
func TestDockersIPv6(t *testing.T) {
	w := newWorld(t)
	web := on(container("web", "bridge 172.17.0.2/16"), "8080:80", "[::]:8080:80")
	web.Endpoints[0].Addresses = prefixes("172.17.0.2/16", "fd00:77::2/64")
	old := on(container("old", "bridge 172.17.0.3/16"), "8081:80", "[::]:8081:80")
	world := w.dockerWorld(web, old)
	world.Networks[0].Subnets = append(world.Networks[0].Subnets, engine.Subnet{Prefix: netip.MustParsePrefix("fd00:77::/64")})
	docker0 := w.links["docker0"]
	docker0.Addrs = prefixes("172.17.0.1/16", "fd00:77::1/64", "fe80::1/64")
	w.change(docker0)
	link := w.plug("veth1234567", "docker0", "/fake/docker-web", "eth0", "172.17.0.2/16")
	*w.netns["/fake/docker-web"]["eth0"] = fakeDevice{up: true, addrs: prefixes("172.17.0.2/16", "fe80::42/64", "fd00:77::2/64")}
	w.plug("veth7654321", "docker0", "/fake/docker-old", "eth0", "172.17.0.3/16")
	a := w.agent()
	if got := w.published(); got != "0.0.0.0:8080/tcp 172.17.0.2:80, 0.0.0.0:8081/tcp 172.17.0.3:80, [::]:8080/tcp [fd00:77::2]:80" {
		t.Errorf("published %s", got)
	}
	ep := w.endpoints[uint32(link.Index)]
	if len(w.endpoints) != 2 || ep.Addr4.String() != "172.17.0.2" || ep.Addr6.String() != "fd00:77::2" {
		t.Errorf("endpoints %+v", w.endpoints)
	}
	if got := w.networks[a.want.networks["docker/bridge"].Index].Gateway6.String(); got != "fd00:77::1" {
		t.Errorf("the gateway learned of the bridge is %s", got)
	}
	if status, err := a.Status(t.Context()); err != nil || len(status.Problems) > 0 {
		t.Errorf("problems %q, %v", status.Problems, err)
	}
	// One whose default route leads by a network of IPv4 alone has IPv6 by another one.
	two := on(container("two", "bridge 172.17.0.4/16", "six fd00:78::4/64", "deep fd00:79::4/64"), "8082:80", "[::]:8082:80")
	two.Endpoints[0].Default = true
	six, deep := dockerNetwork("six", "br-six", "fd00:78::/64"), dockerNetwork("deep", "br-deep", "fd00:79::/64")
	deep.Internal = true
	more := engine.World{Networks: []engine.Network{world.Networks[0], deep, six}, Containers: []engine.Container{old, two, web}}
	plan := planAdoption(a.want, more, circumstances{way: func(_ store.Sandbox, told string) string { return told }})
	for key, want := range map[string]string{"0.0.0.0": "", "::": "docker/six"} {
		pub, ok := plan.next.publishes[store.PublishKey{Proto: "tcp", HostIP: netip.MustParseAddr(key), HostPort: 8082}]
		if !ok || pub.Network != want {
			t.Errorf("on %s: %+v, %v; want network %q", key, pub, ok, want)
		}
	}
	// ebnet's own ports on it, by either family.
	all, err := a.Publish(t.Context(), api.PublishCreate{Spec: spec("9000:90"), Sandbox: "web"})
	if err != nil || len(all) != 2 || all[1].Address.String() != "fd00:77::2" {
		t.Errorf("published %+v, %v", all, err)
	}
	all, err = a.Publish(t.Context(), api.PublishCreate{Spec: spec("9001:90"), Sandbox: "old"})
	if err != nil || len(all) != 1 || all[0].HostIP != "0.0.0.0" {
		t.Errorf("published %+v, %v", all, err)
	}
	before := fmt.Sprint(w.endpoints, w.published())
	w.agent().reconcile()
	if after := fmt.Sprint(w.endpoints, w.published()); after != before {
		t.Errorf("another agent makes of it %s, it was %s", after, before)
	}
}

// TestLeftoversOfDocker: what has left Docker's networks is left alone, and nothing of
// Docker's is ever deleted.
func TestLeftoversOfDocker(t *testing.T) {
	w := newWorld(t)
	world := w.webWorld()
	a := w.agent()
	veth := w.links["veth1234567"]
	veth.Master = 0
	w.change(veth)
	a.reconcile()
	if len(w.endpoints) > 0 || len(w.programs[veth.Index]) > 0 || len(a.live.endpoints) > 0 {
		t.Errorf("still served: %v, %v", w.endpoints, w.programs)
	}
	veth.Master = w.links["docker0"].Index
	w.change(veth)
	a.reconcile()
	if len(w.endpoints) != 1 || len(w.programs[veth.Index]) == 0 {
		t.Errorf("not served again: %v, %v", w.endpoints, w.programs)
	}
	delete(w.programs, veth.Index)
	clear(w.endpoints)
	a.reconcile()
	if len(w.endpoints) != 1 || len(w.programs[veth.Index]) == 0 || a.repairs["endpoint"] != 1 {
		t.Errorf("not repaired: %v, %v, %v", w.endpoints, w.programs, a.repairs)
	}
	world.Networks, world.Containers = nil, nil
	w.arm(0, false)
	a.Adopt(world)
	a.reconcile()
	if len(w.endpoints) > 0 || len(w.programs[veth.Index]) > 0 || len(w.programs[w.links["docker0"].Index]) > 0 || len(w.networks) != 1 {
		t.Errorf("still served:\n%s", w)
	}
	if slices.Contains(w.calls, "delete link") || w.links["docker0"].Index == 0 || w.links["veth1234567"].Index == 0 {
		t.Errorf("deleted what is Docker's: %q", w.calls)
	}
	if got := w.all(); strings.Contains(got, "docker/") {
		t.Errorf("still stored:\n%s", got)
	}
}

// TestPurgeLeavesDocker as it was.
func TestPurgeLeavesDocker(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	untouched := w.String()
	a := w.agent()
	w.arm(0, false)
	if err := a.Purge(t.Context(), api.Purge{}); err != nil {
		t.Fatal(err)
	}
	clear(w.endpoints) // the maps went with the programs
	clear(w.networks)
	clear(w.publishes)
	w.addrs = nil
	if got := w.String(); got != untouched {
		t.Errorf("not as it was:\n%s\nbefore:\n%s", got, untouched)
	}
	if slices.Contains(w.calls, "end processes") || slices.Contains(w.calls, "delete netns") {
		t.Errorf("did %q", w.calls)
	}
}

// TestAddressIsTaken: nobody gets the packets of another by taking its address.
func TestAddressIsTaken(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	a := w.agent()
	thief := w.plug("vethfedcba9", "docker0", "/fake/docker-evil", "eth0", "172.17.0.66/16")
	a.linkEvent(netdev.LinkEvent{Link: thief})
	evil := w.netns["/fake/docker-evil"]["eth0"]
	evil.addrs = prefixes("172.17.0.2/16", "172.17.0.66/16")
	a.lookInside(nil)
	if ep := w.endpoints[uint32(thief.Index)]; ep.Addr4.String() != "172.17.0.66" {
		t.Errorf("an address more: %+v", ep)
	}
	evil.addrs = prefixes("172.17.0.2/16")
	a.lookInside(nil)
	a.reconcile()
	if ep := w.endpoints[uint32(w.links["veth1234567"].Index)]; ep.Addr4.String() != "172.17.0.2" {
		t.Errorf("its own lost: %+v", ep)
	}
	if ep := w.endpoints[uint32(thief.Index)]; ep.Addr4.String() == "172.17.0.2" {
		t.Errorf("another's taken: %+v", ep)
	}
	w.lose("veth1234567") // of which no event tells
	a.lookInside(nil)
	if ep := w.endpoints[uint32(thief.Index)]; ep.Addr4.String() != "172.17.0.2" {
		t.Errorf("an address that is free is refused: %+v", ep)
	}
}

func TestChooseAddress(t *testing.T) {
	n := store.Network{Subnets: []store.Subnet{{Prefix: netip.MustParsePrefix("172.17.0.0/16")}, {Prefix: netip.MustParsePrefix("fd00::/64")}}}
	for _, row := range []struct{ known, addrs, want string }{
		{"", "172.17.0.2/16 172.17.0.3/16", "172.17.0.2"},
		{"172.17.0.3", "172.17.0.2/16 172.17.0.3/16", "172.17.0.3"},
		{"172.17.0.9", "172.17.0.2/16", "172.17.0.2"},
		{"", "192.0.2.1/24 fd00::2/64", "invalid IP"},
	} {
		known, _ := netip.ParseAddr(row.known)
		if got := chooseAddress(ipv4, n, known, prefixes(strings.Fields(row.addrs)...)); got.String() != row.want {
			t.Errorf("%+v: %s", row, got)
		}
	}
	for addrs, want := range map[string]string{
		"172.17.0.2/16 fe80::1/64 fd00::2/64": "172.17.0.2 and fd00::2", "fd00::2/64": "fd00::2", "172.17.0.2/16": "172.17.0.2",
	} {
		if got := chooseAddresses(n, guestAddrs{}, prefixes(strings.Fields(addrs)...)); got.String() != want {
			t.Errorf("of %s: %s", addrs, got)
		}
	}
}

// TestReconcileGivesWay to what cannot wait, but not for ever.
func TestReconcileGivesWay(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	a := w.agent()
	clear(w.publishes)
	for len(a.kick) > 0 {
		<-a.kick
	}
	a.urgent.Add(1) // as hurry does
	a.reconcile()
	if len(w.publishes) > 0 || len(a.kick) == 0 || a.runs.Count != 1 {
		t.Errorf("did not give way: %s, %d reconciles", w.published(), a.runs.Count)
	}
	a.gaveWay = a.gaveWay.Add(-mostPatience)
	a.reconcile()
	if len(w.publishes) != 1 || !a.gaveWay.IsZero() {
		t.Errorf("gave way for ever: %s", w.published())
	}
	clear(w.publishes)
	a.urgent.Add(-1)
	a.reconcile()
	if len(w.publishes) != 1 {
		t.Error("gave way to nobody")
	}
}
