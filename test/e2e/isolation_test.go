package e2e

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// A port published on the loopback address is for the host only, also when a neighbour
// sends packets for 127.0.0.1 to the host (CVE-2020-8558).
func TestLoopbackPublishStaysInside(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "127.0.0.1:8080:7000", "-p", "127.0.0.1:8080:7000/udp")
	s.AnswerTCP("a", ":7000")
	s.AnswerUDP("a", ":7000")
	for _, network := range []string{"tcp", "udp"} {
		if _, err := w.host.Ask(network, "127.0.0.1:8080"); err != nil {
			t.Errorf("on the host: %v", err)
		}
		w.host.Unreachable(network, hostIP+":8080")
		w.client.Unreachable(network, hostIP+":8080")
		s.Unreachable(network, w.agent.Gateway().String()+":8080")
	}
	s.Run("nft", "add table ip watch; add chain ip watch in { type filter hook prerouting priority -300; }; "+
		"add rule ip watch in ip saddr "+clientIP+" counter")
	w.client.Sysctl("net.ipv4.conf.all.route_localnet", "1")
	w.client.IP("addr", "del", "127.0.0.1/8", "dev", "lo")
	w.client.Route("127.0.0.0/8", netip.MustParseAddr(hostIP))
	for _, network := range []string{"tcp", "udp"} {
		w.client.UnreachableFrom(network, clientIP+":0", "127.0.0.1:8080")
	}
	if rules := s.Run("nft", "list", "table", "ip", "watch"); !strings.Contains(rules, "counter packets 0 ") {
		t.Errorf("packets from outside for 127.0.0.1 arrived in the sandbox:\n%s", rules)
	}
	if got := w.host.ReadSysctl("net.ipv4.conf.all.route_localnet"); got != "0" {
		t.Errorf("route_localnet is %s on the host", got)
	}
}

// A port that is not published is not reachable for a neighbour that routes to the
// sandboxes' subnet, whether the host forwards or not.
func TestUnpublishedStaysInside(t *testing.T)       { unpublished(t) }
func TestUnpublishedStaysInsideClsact(t *testing.T) { unpublished(t, "--attach", "clsact") }

func unpublished(t *testing.T, flags ...string) {
	l := lab.New(t)
	host, client, neighbour := l.Machine("host"), l.Machine("client"), l.Machine("neighbour")
	l.LAN("lan",
		lab.Port{On: host, Dev: "eth0", Addr: hostIP + "/24"},
		lab.Port{On: client, Dev: "eth0", Addr: clientIP + "/24"},
		lab.Port{On: neighbour, Dev: "eth0", Addr: "198.51.100.3/24"},
	)
	agent := host.Agent(flags...)
	s := agent.Create("a", "-p", "8080:7000")
	s.AnswerTCP("a", ":7000")
	s.AnswerUDP("a", ":7000")
	s.AnswerUDP("dns", ":53")
	// Counts what comes from anybody but the host and the client.
	s.Run("nft", "add table ip watch; add chain ip watch in { type filter hook prerouting priority -300; }; "+
		"add rule ip watch in ip saddr != { "+agent.Gateway().String()+", "+clientIP+" } counter")
	neighbour.Route(agent.Network("default").Subnets[0].String(), netip.MustParseAddr(hostIP))
	for _, forward := range []string{"0", "1"} {
		host.Sysctl("net.ipv4.ip_forward", forward)
		// The servers are up, and the LAN gets to what is published.
		for _, network := range []string{"tcp", "udp"} {
			if _, err := host.Ask(network, addrPort(s, "7000")); err != nil {
				t.Fatalf("host asks the sandbox: %v", err)
			}
		}
		if _, err := client.Ask("tcp", hostIP+":8080"); err != nil {
			t.Errorf("client asks the published port: %v", err)
		}
		neighbour.Unreachable("tcp", addrPort(s, "7000"))
		neighbour.Unreachable("tcp", addrPort(s, "8080"))
		neighbour.Unreachable("udp", addrPort(s, "7000"))
		neighbour.Unreachable("udp", addrPort(s, "53"))
	}
	if rules := s.Run("nft", "list", "table", "ip", "watch"); !strings.Contains(rules, "counter packets 0 ") {
		t.Errorf("the neighbour's packets arrived in the sandbox:\n%s", rules)
	}
	// The counter counts, and the way that was tried is the right one.
	if reply, err := neighbour.Ask("tcp", hostIP+":8080"); err != nil || reply.Client.Addr().String() != "198.51.100.3" {
		t.Errorf("neighbour asks the published port: %+v, %v", reply, err)
	}
	if rules := s.Run("nft", "list", "table", "ip", "watch"); strings.Contains(rules, "counter packets 0 ") {
		t.Errorf("the neighbour's packets are not counted:\n%s", rules)
	}
}

// No packet of a sandbox leaves with its private address, whatever its kind, whether the
// host forwards or not.
func TestPrivateAddressStaysInside(t *testing.T)       { private(t) }
func TestPrivateAddressStaysInsideClsact(t *testing.T) { private(t, "--attach", "clsact") }

func private(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	w.client.AnswerUDP("outside", ":7000")
	s := w.agent.Create("a")
	// The client counts what comes from anywhere but the host's own address.
	w.client.Run("nft", "add table ip watch; add chain ip watch in { type filter hook prerouting priority -300; }; "+
		"add rule ip watch in iif eth0 ip saddr != "+hostIP+" counter")
	for _, forward := range []string{"0", "1"} {
		w.host.Sysctl("net.ipv4.ip_forward", forward)
		// A TCP segment of no connection, GRE, ESP, SCTP, something unknown.
		for _, protocol := range []string{"6", "47", "50", "132", "200"} {
			if err := s.SendRaw(protocol, clientIP, make([]byte, 40)); err != nil {
				t.Errorf("send protocol %s: %v", protocol, err)
			}
		}
		// Fragments, and an echo request that finds its hop limit spent.
		s.Try("ping", "-n", "-c", "1", "-W", "1", "-s", "3000", clientIP)
		s.Try("ping", "-n", "-c", "1", "-W", "1", "-t", "1", clientIP)
		// What was sent before an answer came is through.
		s.MustAsk(s.Talk("udp", "", clientIP+":7000"))
	}
	if rules := w.client.Run("nft", "list", "table", "ip", "watch"); !strings.Contains(rules, "counter packets 0 ") {
		t.Errorf("packets with private addresses left:\n%s", rules)
	}
}

// A published port of the host takes nothing that passes the host on its way to another
// machine (CVE-2025-67499).
func TestPublishTakesNothingThatPasses(t *testing.T) {
	w := newWorld(t)
	far := w.Machine("far")
	w.Wire(
		lab.Port{On: w.host, Dev: "eth1", Addr: "203.0.113.1/24"},
		lab.Port{On: far, Dev: "eth0", Addr: "203.0.113.2/24"},
	)
	w.host.Sysctl("net.ipv4.ip_forward", "1")
	w.client.Route("203.0.113.0/24", netip.MustParseAddr(hostIP))
	far.Route("198.51.100.0/24", netip.MustParseAddr("203.0.113.1"))
	far.AnswerUDP("far", ":53")
	far.AnswerTCP("far", ":53")
	s := w.agent.Create("a", "-p", "53:53/udp", "-p", "53:53")
	s.AnswerUDP("a", ":53")
	s.AnswerTCP("a", ":53")
	for _, network := range []string{"tcp", "udp"} {
		for _, m := range []*lab.Machine{w.client, w.host, s.Machine} {
			if reply, err := m.Ask(network, "203.0.113.2:53"); err != nil || reply.Server != "far" {
				t.Errorf("%s from %s: %+v, %v", network, m.Name, reply, err)
			}
		}
	}
}
