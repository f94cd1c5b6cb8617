package e2e

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// Who else has the port is named, and nothing is changed.
func TestPublishConflicts(t *testing.T) {
	w := newWorld(t)
	w.agent.Create("a")
	w.agent.Create("b")
	holder := w.host.Start("traffic", "listen", ":8080")
	holder.WaitFor("listening")
	res := w.agent.Try("publish", "8080:80", "--to", "a")
	if res.Code != 1 || !strings.Contains(res.Err, "traffic") || !strings.Contains(res.Err, fmt.Sprint(holder.PID())) {
		t.Errorf("a port that a process holds: status %d, %s", res.Code, res.Err)
	}
	holder.Kill()
	w.agent.Ebnet("publish", "8080:80", "--to", "a")
	for _, args := range []string{"8080:80 --to a", "8080:80 --to b", "127.0.0.1:8080:80 --to a"} {
		res := w.agent.Try(append([]string{"publish"}, strings.Fields(args)...)...)
		// One address may lead elsewhere than the rest.
		if wantCode := map[bool]int{true: 0, false: 1}[strings.HasPrefix(args, "127")]; res.Code != wantCode {
			t.Errorf("publish %s: status %d, %s", args, res.Code, res.Err)
		}
		if res.Code != 0 && !strings.Contains(res.Err, "8080") {
			t.Errorf("publish %s does not name the port: %s", args, res.Err)
		}
	}
}

// A published port is ebnet's: no process of the host gets it, with or without agent.
func TestPublishedPortIsReserved(t *testing.T) {
	w := newWorld(t)
	w.agent.Create("a", "-p", "8080:80", "-p", "127.0.0.1:8081:80/udp")
	check := func(when string) {
		t.Helper()
		for _, bind := range []struct{ network, addr string }{
			{"tcp4", ":8080"},
			{"tcp4", hostIP + ":8080"},
			{"tcp4", "127.0.0.1:8080"},
			{"tcp", ":8080"},
			{"udp4", "127.0.0.1:8081"},
			{"udp4", ":8081"},
		} {
			if err := w.host.Bind(bind.network, bind.addr); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("%s: bind %s %s: %v", when, bind.network, bind.addr, err)
			}
		}
		for _, bind := range []struct{ network, addr string }{
			{"udp4", ":8080"}, {"tcp4", ":8081"}, {"udp4", hostIP + ":8081"},
		} {
			if err := w.host.Bind(bind.network, bind.addr); err != nil {
				t.Errorf("%s: bind %s %s, which nobody published: %v", when, bind.network, bind.addr, err)
			}
		}
		if err := w.client.Bind("tcp4", ":8080"); err != nil {
			t.Errorf("%s: bind on another machine: %v", when, err)
		}
	}
	check("published")
	w.agent.Kill()
	check("agent dead")
	w.agent.Start()
	check("agent back")
	w.agent.Ebnet("unpublish", "8080")
	if err := w.host.Bind("tcp4", ":8080"); err != nil {
		t.Errorf("bind after unpublish: %v", err)
	}
}

// The kernel does not choose a published port for a connection of the host's.
func TestPublishedPortIsNotEphemeral(t *testing.T) {
	w := newHost(t)
	w.host.Sysctl("net.ipv4.ip_local_reserved_ports", "40007,40020-40029")
	w.agent = w.host.Agent()
	w.agent.Create("a")
	w.agent.Ebnet("publish", "40000-40003:80-83", "--to", "a")
	if got := w.host.ReadSysctl("net.ipv4.ip_local_reserved_ports"); got != "40000-40003,40007,40020-40029" {
		t.Errorf("reserved ports: %s", got)
	}
	w.agent.Ebnet("unpublish", "40000-40003")
	if got := w.host.ReadSysctl("net.ipv4.ip_local_reserved_ports"); got != "40007,40020-40029" {
		t.Errorf("reserved ports after unpublish: %s", got)
	}
}
