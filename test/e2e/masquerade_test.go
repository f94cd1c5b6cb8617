package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

func TestMasquerade(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { masquerade(t, f) })
}

func TestMasqueradeClsact(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { masquerade(t, f, "--attach", "clsact") })
}

// masquerade: a sandbox is seen as its host, whatever it speaks.
func masquerade(t *testing.T, f ipFamily, flags ...string) {
	w := newFamilyWorld(t, f, flags...)
	w.client.AnswerTCP("outside", at(f.all, "7000"))
	w.client.AnswerUDP("outside", at(f.all, "7000"))
	s := w.create(f, "a")
	for _, network := range []string{"tcp", "udp"} {
		c := s.Talk(network, "", at(f.client, "7000"))
		for range 3 {
			if reply := s.MustAsk(c); reply.Client.Addr().String() != f.host {
				t.Errorf("%s: seen as %s", network, reply.Client)
			}
		}
	}
}

func TestPing(t *testing.T)       { ping(t) }
func TestPingClsact(t *testing.T) { ping(t, "--attach", "clsact") }

// ping: two sandboxes with the same identifier ping one machine at the same time.
func ping(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	var pings []*lab.Proc
	for _, name := range []string{"a", "b"} {
		s := w.agent.Create(name)
		pings = append(pings, s.Start("ping", "-n", "-c", "5", "-i", "0.2", "-W", "2", "-e", "77", clientIP))
	}
	for _, p := range pings {
		if code := p.Wait(); code != 0 || !strings.Contains(p.Output(), "5 received") || strings.Contains(p.Output(), "DUP") {
			t.Errorf("ping: status %d\n%s", code, p.Output())
		}
	}
	if out := w.agent.Ebnet("exec", "a", "--", "ping", "-n", "-c", "1", "-W", "2", w.agent.Sandbox("b").Addr.String()); !strings.Contains(out, "1 received") {
		t.Errorf("ping between sandboxes:\n%s", out)
	}
	if out := w.agent.Ebnet("exec", "a", "--", "ping", "-n", "-c", "1", "-W", "2", w.agent.Gateway().String()); !strings.Contains(out, "1 received") {
		t.Errorf("ping the gateway:\n%s", out)
	}
}

// Two sandboxes and the same server, from the same source port, at the same time.
func TestMasqueradeSameSourcePort(t *testing.T) { overFamilies(t, masqueradeSameSourcePort) }

func masqueradeSameSourcePort(t *testing.T, f ipFamily) {
	w := newFamilyWorld(t, f)
	w.client.AnswerTCP("outside", at(f.all, "7000"))
	w.client.AnswerUDP("outside", at(f.all, "7000"))
	a, b := w.create(f, "a"), w.create(f, "b")
	for _, network := range []string{"tcp", "udp"} {
		ca := a.Talk(network, at(f.of(a).String(), "40000"), at(f.client, "7000"))
		seenA := a.MustAsk(ca).Client
		cb := b.Talk(network, at(f.of(b).String(), "40000"), at(f.client, "7000"))
		seenB := b.MustAsk(cb).Client
		if seenA == seenB || seenA.Addr().String() != f.host || seenB.Addr().String() != f.host {
			t.Errorf("%s: seen as %s and %s", network, seenA, seenB)
		}
		for range 3 {
			if got := a.MustAsk(ca).Client; got != seenA {
				t.Errorf("%s: a was seen as %s, now as %s", network, seenA, got)
			}
			if got := b.MustAsk(cb).Client; got != seenB {
				t.Errorf("%s: b was seen as %s, now as %s", network, seenB, got)
			}
		}
	}
}

// The host's own conversation from the same port to the same server keeps its packets,
// whether it was there first or comes later.
func TestHostSameSourcePort(t *testing.T) { overFamilies(t, hostSameSourcePort) }

func hostSameSourcePort(t *testing.T, f ipFamily) {
	w := newFamilyWorld(t, f)
	w.client.AnswerTCP("outside", at(f.all, "7000"))
	w.client.AnswerUDP("outside", at(f.all, "7000"))
	s := w.create(f, "a")
	port := 40000
	for _, network := range []string{"tcp", "udp"} {
		for _, hostFirst := range []bool{true, false} {
			port++
			name := fmt.Sprintf("%s, host first %t", network, hostFirst)
			open := []struct {
				m    *lab.Machine
				addr string
			}{{w.host, f.host}, {s.Machine, f.of(s).String()}}
			if !hostFirst {
				open[0], open[1] = open[1], open[0]
			}
			var talks []*lab.Conversation
			var seen []netip.AddrPort
			for _, o := range open {
				c := o.m.Talk(network, at(o.addr, fmt.Sprint(port)), at(f.client, "7000"))
				talks = append(talks, c)
				seen = append(seen, o.m.MustAsk(c).Client)
			}
			// Without the first having that very port outside, there is nothing to collide with.
			if int(seen[0].Port()) != port {
				t.Errorf("%s: the first is seen as %s, not at its own port %d", name, seen[0], port)
			}
			if seen[0] == seen[1] {
				t.Errorf("%s: both are seen as %s", name, seen[0])
			}
			for range 3 {
				for i, o := range open {
					if got := o.m.MustAsk(talks[i]).Client; got != seen[i] {
						t.Errorf("%s: %s was seen as %s, now as %s", name, o.m.Name, seen[i], got)
					}
				}
			}
		}
	}
}

// A source port that the host listens on, used by a sandbox, diverts nothing of the
// host's, not even from the very machine and port that the sandbox talks to
// (CVE-2021-3773).
func TestMasqueradeShadowsNoListener(t *testing.T) { overFamilies(t, masqueradeShadowsNoListener) }

func masqueradeShadowsNoListener(t *testing.T, f ipFamily) {
	w := newFamilyWorld(t, f)
	w.host.AnswerUDP("host", at(f.all, "6000"))
	w.host.AnswerTCP("host", at(f.all, "6000"))
	w.client.AnswerTCP("outside", at(f.all, "7000"))
	s := w.create(f, "a")

	if seen := s.MustAsk(s.Talk("tcp", at(f.of(s).String(), "6000"), at(f.client, "7000"))).Client; seen.Port() == 6000 {
		t.Errorf("tcp: the sandbox is seen as %s, where the host listens", seen)
	}
	if reply, err := w.client.Ask("tcp", at(f.host, "6000")); err != nil || reply.Server != "host" {
		t.Errorf("tcp to the host's own server: %+v, %v", reply, err)
	}

	outside := w.client.ListenUDP(at(f.all, "7000"))
	fmt.Fprintln(s.Talk("udp", at(f.of(s).String(), "6000"), at(f.client, "7000")), "from the sandbox")
	buf := make([]byte, 1500)
	_, seen, err := outside.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	if seen.Port() == 6000 {
		t.Errorf("udp: the sandbox is seen as %s, where the host listens", seen)
	}
	if _, err := outside.WriteToUDPAddrPort([]byte("from outside\n"), netip.MustParseAddrPort(at(f.host, "6000"))); err != nil {
		t.Fatal(err)
	}
	n, from, err := outside.ReadFromUDPAddrPort(buf)
	if err != nil || from.String() != at(f.host, "6000") || !strings.HasPrefix(string(buf[:n]), "host ") {
		t.Errorf("udp to the host's own server: %q from %s, %v", buf[:n], from, err)
	}
}

// 20,000 connections to one destination are open at once and all alive.
func TestMasquerade20000Connections(t *testing.T) {
	w := newWorld(t)
	for range 2 {
		w.client.Start("traffic", "answer", ":7000").WaitFor("listening")
	}
	// Two sandboxes and processes: a process may be limited to 20,000 descriptors.
	var holders []*lab.Proc
	for _, name := range []string{"a", "b"} {
		holders = append(holders, w.agent.Create(name).Start("traffic", "hold", clientIP+":7000", "10000"))
	}
	for _, p := range holders {
		p.WaitFor("held 10000")
	}
	metrics := w.agent.Scrape()
	if got := metrics.Sum("ebnet_flows", `proto="tcp"`); got < 20000 {
		t.Errorf("%v flows, want 20000", got)
	}
	if got := metrics.Sum("ebnet_masquerade_ports_used", `proto="tcp"`); got < 20000 {
		t.Errorf("%v ports used, want 20000", got)
	}
	for _, p := range holders {
		p.Tell("again")
	}
	for _, p := range holders {
		p.WaitFor("alive 10000")
	}
	if got := w.agent.Scrape().Sum("ebnet_masquerade_port_failures_total"); got != 0 {
		t.Errorf("%v port failures", got)
	}
}

// When no port is left the packet is dropped and counted, and those who have a port
// keep it.
func TestMasqueradePortsExhausted(t *testing.T) {
	w := newWorld(t)
	w.agent.MasqueradePorts(50000, 50003)
	w.client.AnswerTCP("outside", ":7000")
	w.client.AnswerUDP("outside", ":7000")
	w.client.AnswerTCP("elsewhere", ":7001")
	// The first keeps its own port, four have one of the range, two have none.
	var boxes []*lab.Sandbox
	for i := range 7 {
		boxes = append(boxes, w.agent.Create(fmt.Sprintf("s%d", i)))
	}
	for _, network := range []string{"tcp", "udp"} {
		before := w.agent.Scrape()
		var talks []*lab.Conversation
		seen := map[netip.AddrPort]bool{}
		for _, s := range boxes[:5] {
			c := s.Talk(network, addrPort(s, "40000"), clientIP+":7000")
			talks = append(talks, c)
			seen[s.MustAsk(c).Client] = true
		}
		if len(seen) != 5 {
			t.Errorf("%s: five sandboxes are seen as %v", network, seen)
		}
		for _, s := range boxes[5:] {
			s.UnreachableFrom(network, addrPort(s, "40000"), clientIP+":7000")
		}
		after := w.agent.Scrape()
		proto := `proto="` + network + `"`
		if failures := after.Sum("ebnet_masquerade_port_failures_total", proto) - before.Sum("ebnet_masquerade_port_failures_total", proto); failures < 2 {
			t.Errorf("%s: %v port failures counted, want 2 or more", network, failures)
		}
		if drops := after.Sum("ebnet_dropped_packets_total", `direction="egress"`) - before.Sum("ebnet_dropped_packets_total", `direction="egress"`); drops < 2 {
			t.Errorf("%s: %v drops counted, want 2 or more", network, drops)
		}
		for i, s := range boxes[:5] {
			if got := s.MustAsk(talks[i]).Client; !seen[got] {
				t.Errorf("%s: %s is now seen as %s", network, s.Name, got)
			}
		}
		// A port that is free again is found.
		talks[2].Close()
		w.agent.Ebnet("flows", "flush", "--to", boxes[2].Name)
		s := boxes[5]
		s.MustAsk(s.Talk(network, addrPort(s, "40000"), clientIP+":7000"))
	}
	// TCP shares ports between destinations.
	s := boxes[6]
	s.MustAsk(s.Talk("tcp", addrPort(s, "40000"), clientIP+":7001"))
}
