package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// The gateway's address that ebnet adds to a bridge comes back when somebody removes it,
// outlives the agent, and goes with the network or a purge. Those of others stay, also
// in the same subnet.
func TestAddressOnExistingBridge(t *testing.T) {
	w := newHost(t)
	w.host.IP("link", "add", "br7", "type", "bridge")
	w.host.IP("addr", "add", "10.77.0.1/24", "dev", "br7")
	w.host.IP("link", "set", "br7", "up")
	w.agent = w.host.Agent()
	const own, ours, later = " 10.77.0.1/24 ", " 10.79.0.1/24 ", " 10.79.0.9/24 "
	has := func(when string, want ...string) {
		t.Helper()
		got := w.host.IP("-o", "-4", "addr", "show", "dev", "br7")
		for _, addr := range []string{own, ours, later} {
			if strings.Contains(got, addr) != slices.Contains(want, addr) {
				t.Errorf("%s: %swant%s", when, got, want)
				return
			}
		}
	}
	create := func() {
		w.agent.Ebnet("network", "create", "mine", "--bridge", "br7", "--subnet", "10.79.0.0/24", "--gateway", "10.79.0.1")
	}

	create()
	has("created", own, ours)
	s := w.agent.Create("web", "--network", "mine", "-p", "8080:7000")
	s.AnswerTCP("web", ":7000")
	w.host.IP("addr", "del", strings.TrimSpace(ours), "dev", "br7")
	lab.Eventually(t, 2*wait, func() error {
		if !strings.Contains(w.host.IP("-o", "-4", "addr", "show", "dev", "br7"), ours) {
			return lab.Still("the address has not come back")
		}
		return nil
	})
	if _, err := w.host.AskSoon("tcp", addrPort(s, "7000")); err != nil {
		t.Errorf("after the repair: %v", err)
	}
	w.host.IP("addr", "add", strings.TrimSpace(later), "dev", "br7")
	w.agent.Kill()
	w.agent.Start()
	w.agent.Ebnet("sandbox", "rm", "web")
	has("before network rm", own, ours, later)
	w.agent.Ebnet("network", "rm", "mine")
	has("network rm", own, later)

	create()
	has("created again", own, ours, later)
	w.agent.Purge()
	has("purge", own, later)
	w.agent.Start()
	has("started again", own, ours, later)
	w.agent.Kill()
	if res := w.agent.Try("purge", "--all"); res.Code != 0 {
		t.Fatalf("purge without an agent: status %d, %s", res.Code, res.Err)
	}
	has("purge without an agent", own, later)
	w.host.IP("link", "del", "br7")
}

// On a bridge that was there an MTU is for the sandboxes' links: it keeps its own.
func TestExistingBridgeMTU(t *testing.T) {
	w := newWorld(t)
	w.host.IP("link", "add", "br7", "type", "bridge")
	w.host.IP("link", "set", "br7", "mtu", "1400", "up")
	for flags, want := range map[string]string{"": " mtu 1400 ", "--mtu 1300": " mtu 1300 "} {
		w.agent.Ebnet(append(strings.Fields("network create mine --bridge br7"), strings.Fields(flags)...)...)
		s := w.agent.Create("web", "--network", "mine")
		if got := s.Run("ip", "-o", "link", "show", "eth0"); !strings.Contains(got, want) {
			t.Errorf("with %q eth0 is %swant%s", flags, got, want)
		}
		if got := w.host.IP("-o", "link", "show", "br7"); !strings.Contains(got, " mtu 1400 ") {
			t.Errorf("with %q the bridge has become %s", flags, got)
		}
		w.agent.Ebnet("sandbox", "rm", "web")
		w.agent.Ebnet("network", "rm", "mine")
	}
	w.host.IP("link", "del", "br7")
}
