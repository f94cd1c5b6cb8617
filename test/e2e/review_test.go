package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// Links that somebody has renamed get their names back, and connections live on.
func TestRenamedLinks(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000")
	s.AnswerTCP("a", ":7000")
	link, ns := s.Info.Endpoints[0].HostInterface, filepath.Base(s.Path)
	index := func(args ...string) string {
		number, _, _ := strings.Cut(w.host.IP(append(args, "-o", "link", "show", "master", "ebnet0")...), ":")
		return number
	}
	before := index()
	c := w.client.Talk("tcp", "", hostIP+":8080")
	w.client.MustAsk(c)

	restored := func(what string) {
		t.Helper()
		lab.Eventually(t, 2*wait, func() error {
			got := w.host.IP("-o", "link", "show", "type", "veth")
			inside := w.host.IP("-n", ns, "-o", "link", "show")
			if !strings.Contains(got, " "+link+"@") || !strings.Contains(inside, " eth0@") || strings.Contains(got+inside, "other") {
				return lab.Still(fmt.Sprintf("%s: the host has\n%sthe sandbox has\n%s", what, got, inside))
			}
			return nil
		})
		w.client.MustAsk(c)
		if reply, err := w.client.AskSoon("tcp", hostIP+":8080"); err != nil || reply.Server != "a" {
			t.Errorf("%s: %+v, %v", what, reply, err)
		}
		if after := index(); after != before {
			t.Errorf("%s: the link is another one: %s, before %s", what, after, before)
		}
		noProblems(t, w)
	}
	w.host.IP("link", "set", link, "name", "other0")
	restored("host side")
	w.host.IP("link", "set", "ebnet0", "name", "other0")
	lab.Eventually(t, 2*wait, func() error {
		if got := w.host.IP("-o", "link", "show", "type", "bridge"); strings.Contains(got, "other0") || !strings.Contains(got, " ebnet0:") {
			return lab.Still("the bridges are " + got)
		}
		return nil
	})
	restored("bridge")
	w.agent.Kill()
	w.host.IP("link", "set", link, "name", "other0")
	w.host.IP("-n", ns, "link", "set", "eth0", "name", "other1")
	w.agent.Start()
	restored("both sides, while there was no agent")
}

// An address that the host has is given to no sandbox.
func TestHostsAddressIsNotGiven(t *testing.T) {
	w := newWorld(t)
	first := w.agent.Gateway().Next()
	w.host.IP("addr", "add", first.String()+"/32", "dev", "lo")
	if res := w.agent.Try("sandbox", "create", "asks", "--network", "default,ip="+first.String()); res.Code == 0 || !strings.Contains(res.Err, "the host's own, on lo") {
		t.Errorf("asked for: status %d, %s", res.Code, res.Err)
	}
	s := w.agent.Create("a")
	if s.Addr != first.Next() {
		t.Errorf("the sandbox has %s, want the one after the host's %s", s.Addr, first)
	}
	// That the address overlaps the network is told, too, as soon as it is noticed.
	for _, problem := range w.agent.Status().Problems {
		if strings.Contains(problem, "of sandbox") {
			t.Errorf("problem %q", problem)
		}
	}
}

// Routes of a bridge that somebody removes come back, also at the agent's start.
func TestBridgeRoutes(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000")
	s.AnswerTCP("a", ":7000")
	gateway, subnet := w.agent.Gateway().String(), w.agent.Network("default").Subnets[0].String()
	connected, local := w.host.IP("route", "show", subnet), w.host.IP("route", "show", "table", "local", "dev", "ebnet0")
	if !strings.Contains(connected, subnet) || !strings.Contains(local, gateway) {
		t.Fatalf("routes %sand %s", connected, local)
	}
	whole := func() error {
		if got := w.host.IP("route", "show", subnet); got != connected {
			return lab.Still("connected route: " + got)
		}
		if got := w.host.IP("route", "show", "table", "local", "dev", "ebnet0"); got != local {
			return lab.Still("local routes: " + got)
		}
		for _, from := range []*lab.Machine{w.host, w.client} {
			remote := map[bool]string{true: addrPort(s, "7000"), false: hostIP + ":8080"}[from == w.host]
			if _, err := from.AskSoon("tcp", remote); err != nil {
				return err
			}
		}
		return nil
	}
	for _, harm := range []string{
		"route del " + subnet + " dev ebnet0",
		"route del local " + gateway + " dev ebnet0 table local",
		"route flush table local dev ebnet0",
		"route flush table all dev ebnet0",
	} {
		w.host.IP(strings.Fields(harm)...)
		lab.Eventually(t, 2*wait, whole)
	}
	w.agent.Kill()
	w.host.IP("route", "flush", "table", "all", "dev", "ebnet0")
	w.agent.Start()
	if err := whole(); err != nil {
		t.Errorf("after the start: %v", err)
	}
	noProblems(t, w)
}

// noProblems waits until the agent has seen that all is well.
func noProblems(t *testing.T, w *world) {
	t.Helper()
	lab.Eventually(t, 2*wait, func() error {
		if st := w.agent.Status(); len(st.Problems) != 0 {
			return lab.Still(fmt.Sprintf("problems %q", st.Problems))
		}
		return nil
	})
}

// A route for exactly a network's subnet that leads elsewhere is told of.
func TestRouteOfSubnetElsewhere(t *testing.T) {
	w := newWorld(t)
	subnet := w.agent.Network("default").Subnets[0].String()
	w.host.IP("route", "add", subnet, "via", clientIP, "metric", "7")
	lab.Eventually(t, 2*wait, func() error {
		if got := strings.Join(w.agent.Status().Problems, "\n"); !strings.Contains(got, "overlaps network default") {
			return lab.Still("problems: " + got)
		}
		return nil
	})
	w.host.IP("route", "del", subnet, "via", clientIP)
	lab.Eventually(t, 2*wait, func() error {
		if got := w.agent.Status().Problems; len(got) > 0 {
			return lab.Still(fmt.Sprint("problems: ", got))
		}
		return nil
	})
}

// A bridge whose MAC address and MTU somebody changes gets its own back, and is looked
// after all the same.
func TestBridgeMACChanged(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a")
	s.AnswerTCP("a", ":7000")
	before := w.host.IP("-o", "link", "show", "ebnet0")
	w.host.IP("link", "set", "ebnet0", "address", "02:00:00:00:00:77", "mtu", "1400")
	w.host.IP("addr", "flush", "dev", "ebnet0")
	lab.Eventually(t, 2*wait, func() error {
		if got := w.host.IP("-o", "link", "show", "ebnet0"); got != before {
			return lab.Still("the bridge is " + got)
		}
		_, err := w.host.AskSoon("tcp", addrPort(s, "7000"))
		return err
	})
	w.agent.Kill()
	w.host.IP("link", "set", "ebnet0", "address", "02:00:00:00:00:77")
	w.agent.Start()
	if got := w.host.IP("-o", "link", "show", "ebnet0"); got != before {
		t.Errorf("after the start the bridge is %s", got)
	}
}

// A sandbox cannot have the MAC address of its bridge, nor of a port of that.
func TestMACOfBridge(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a")
	bridge := strings.Fields(w.host.IP("-br", "link", "show", "ebnet0"))[2]
	for _, mac := range []string{bridge, s.Info.Endpoints[0].HostMAC} {
		if res := w.agent.Try("sandbox", "create", "b", "--network", "default,mac="+mac); res.Code == 0 || !strings.Contains(res.Err, "MAC address "+mac+" is taken by") {
			t.Errorf("%s: status %d, %s", mac, res.Code, res.Err)
		}
	}
}

// On a bridge that exists an ip-range is one of its own subnet.
func TestRangeOnExistingBridge(t *testing.T) {
	w := newWorld(t)
	w.host.IP("link", "add", "br7", "type", "bridge")
	w.host.IP("addr", "add", "10.77.0.1/24", "dev", "br7")
	w.host.IP("link", "set", "br7", "up")
	w.agent.Ebnet("network", "create", "mine", "--bridge", "br7", "--ip-range", "10.77.0.128/25")
	if s := w.agent.Create("a", "--network", "mine"); s.Addr != netip.MustParseAddr("10.77.0.128") {
		t.Errorf("the sandbox has %s", s.Addr)
	}
	w.agent.Ebnet("sandbox", "rm", "a")
	w.agent.Ebnet("network", "rm", "mine")
	w.host.IP("link", "del", "br7")
}
