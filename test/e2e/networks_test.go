package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/lab"
)

// A sandbox on three networks: published on the one that is named, answers leave by the
// network that the question came in on, and the default route follows the attachments.
func TestSeveralNetworks(t *testing.T)       { severalNetworks(t) }
func TestSeveralNetworksClsact(t *testing.T) { severalNetworks(t, "--attach", "clsact") }

func severalNetworks(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	answer(w.client, "outside", "7000")
	for _, name := range []string{"one", "two", "three"} {
		w.agent.Ebnet("network", "create", "--ipv6", name)
	}
	w.agent.Create("web", "--network", "one", "--network", "two")
	w.agent.Ebnet("network", "connect", "three", "web")
	s := w.agent.Sandbox("web")
	if len(s.Info.Endpoints) != 3 || s.Info.Endpoints[2].Interface != "eth2" {
		t.Fatalf("endpoints %+v, want three, the last eth2", s.Info.Endpoints)
	}
	answer(s.Machine, "web", "7000")
	peers := map[string]*lab.Sandbox{}
	for i, name := range []string{"one", "two", "three"} {
		w.agent.Ebnet("publish", fmt.Sprintf("%d:7000", 8080+i), "--to", "web", "--network", name)
		peers[name] = w.agent.Create("peer-"+name, "--network", name)
		for f, seenAs := range []netip.Addr{peers[name].Addr, peers[name].Addr6} {
			addr := s.Info.Endpoints[i].Addresses[f].Addr().String()
			if reply, err := peers[name].Ask("tcp", at(addr, "7000")); err != nil || reply.Client.Addr() != seenAs {
				t.Errorf("a peer on %s: %+v, %v", name, reply, err)
			}
		}
		for host, seenAs := range map[string]string{hostIP: clientIP, hostIP6: clientIP6} {
			if reply, err := w.client.Ask("tcp", at(host, fmt.Sprint(8080+i))); err != nil || reply.Client.Addr().String() != seenAs {
				t.Errorf("published on %s: %+v, %v", name, reply, err)
			}
		}
	}
	leavesBy := func(network string) {
		t.Helper()
		for to, seenAs := range map[string]string{clientIP: hostIP, clientIP6: hostIP6} {
			before := w.agent.Scrape().Sum("ebnet_packets_total", `network="`+network+`"`, `path="masquerade"`, `direction="egress"`)
			if reply, err := s.Ask("tcp", at(to, "7000")); err != nil || reply.Client.Addr().String() != seenAs {
				t.Errorf("to %s by %s: %+v, %v", to, network, reply, err)
			}
			after := w.agent.Scrape().Sum("ebnet_packets_total", `network="`+network+`"`, `path="masquerade"`, `direction="egress"`)
			if after <= before {
				t.Errorf("no packet to %s left by %s", to, network)
			}
		}
	}
	leavesBy("one")
	w.agent.Ebnet("network", "disconnect", "one", "web")
	leavesBy("two")
	for _, host := range []string{hostIP, hostIP6} {
		w.client.Unreachable("tcp", at(host, "8080"))
		for i := range 2 {
			if _, err := w.client.Ask("tcp", at(host, fmt.Sprint(8081+i))); err != nil {
				t.Errorf("published on what is left: %v", err)
			}
		}
	}
	for _, family := range []string{"-4", "-6"} {
		if got := s.Run("ip", "-o", family, "addr", "show", "scope", "global"); strings.Count(got, "\n") != 2 {
			t.Errorf("addresses after disconnect:\n%s", got)
		}
		if got := s.Run("ip", family, "rule"); strings.Count(got, "lookup 100") != 2 {
			t.Errorf("rules after disconnect:\n%s", got)
		}
	}
}

// A source list lets in whom it names and nobody else, from outside and from containers,
// and changes while connections live.
func TestAllow(t *testing.T) { overFamilies(t, func(t *testing.T, f ipFamily) { allow(t, f) }) }

func TestAllowClsact(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { allow(t, f, "--attach", "clsact") })
}

func allow(t *testing.T, f ipFamily, flags ...string) {
	w := newFamilyWorld(t, f, flags...)
	web, other := w.create(f, "web"), w.create(f, "other")
	web.AnswerTCP("web", at(f.all, "7000"))
	web.AnswerUDP("web", at(f.all, "7000"))
	w.agent.Ebnet("publish", "8080:7000", "--to", "web", "--allow", "192.0.2.0/24")
	w.agent.Ebnet("publish", "8080:7000/udp", "--to", "web", "--allow", "192.0.2.0/24")
	published := at(f.host, "8080")
	for _, network := range []string{"tcp", "udp"} {
		w.client.Unreachable(network, published)
		other.Unreachable(network, published)
		if _, err := w.host.Ask(network, at(f.loopback, "8080")); err != nil {
			t.Errorf("%s on the host itself: %v", network, err)
		}
	}
	w.agent.Ebnet("allow", "8080", "--add", f.client)
	c := w.client.Talk("tcp", "", published)
	w.client.MustAsk(c)
	other.Unreachable("tcp", published)
	w.client.Unreachable("udp", published)
	w.agent.Ebnet("allow", "8080", "--set", f.of(other).String())
	if _, err := other.Ask("tcp", published); err != nil {
		t.Errorf("a container that the list names: %v", err)
	}
	w.client.Unreachable("tcp", published)
	w.client.MustAsk(c) // it was let in
	if res := w.agent.Try("allow", "8080", "--remove", f.of(other).String()); res.Code == 0 {
		t.Error("the last entry of a list is removed, which opens the port")
	}
	w.agent.Ebnet("allow", "8080", "--any")
	if _, err := w.client.Ask("tcp", published); err != nil {
		t.Errorf("anyone: %v", err)
	}
	w.agent.Kill()
	w.agent.Start()
	w.client.Unreachable("udp", published) // the list of the other protocol has stayed
}

// Broadcast and multicast stay within a network, and reach all of it.
func TestBroadcastAndMulticast(t *testing.T) {
	w := newWorld(t)
	w.agent.Ebnet("network", "create", "other")
	a, b, far := w.agent.Create("a"), w.agent.Create("b"), w.agent.Create("far", "--network", "other")
	inbox := b.ListenUDP(":5353")
	outbox := far.ListenUDP(":5353")
	if inbox == nil || outbox == nil {
		t.Fatal("no sockets")
	}
	prefix := a.Info.Endpoints[0].Addresses[0]
	b.Do(func() error { return joinGroup(inbox, "224.0.0.251", "eth0") })
	far.Do(func() error { return joinGroup(outbox, "224.0.0.251", "eth0") })
	for _, to := range []string{"255.255.255.255", broadcastOf(prefix).String(), "224.0.0.251"} {
		conn := a.ListenUDP(":0")
		if _, err := conn.WriteTo([]byte(to), &net.UDPAddr{IP: net.ParseIP(to), Port: 5353}); err != nil {
			t.Fatalf("send to %s: %v", to, err)
		}
		if got := receive(inbox, 10*time.Second); got != to {
			t.Errorf("to %s: the neighbour got %q", to, got)
		}
		if got := receive(outbox, 300*time.Millisecond); got != "" {
			t.Errorf("to %s: another network got %q", to, got)
		}
	}
}

func broadcastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		b[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(b)
}

func receive(conn *net.UDPConn, patience time.Duration) string {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err.Error()
	}
	b := make([]byte, 100)
	n, _, err := conn.ReadFrom(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// A sandbox that comes again with the same address and another MAC is reached by the
// first packet.
func TestSameAddressOtherMAC(t *testing.T) {
	w := newWorld(t)
	other := w.agent.Create("other")
	addr := w.agent.Network("default").Subnets[0].Addr().Next().Next().Next().Next().String()
	for _, mac := range []string{"02:42:00:00:00:01", "02:42:00:00:00:02", "02:42:00:00:00:03"} {
		s := w.agent.Create("again", "--network", "default,ip="+addr+",mac="+mac)
		s.AnswerUDP("again", ":7000")
		for name, m := range map[string]*lab.Machine{"host": w.host, "neighbour": other.Machine} {
			if reply, err := m.AskSoon("udp", addr+":7000"); err != nil || reply.Server != "again" {
				t.Errorf("the %s asks %s at %s: %+v, %v", name, addr, mac, reply, err)
			}
		}
		w.agent.Ebnet("sandbox", "rm", "again")
	}
}

// An MTU below the uplink's holds on both ends, and everything gets through.
func TestNetworkMTU(t *testing.T) {
	w := newWorld(t)
	w.agent.Ebnet("network", "create", "small", "--mtu", "1280")
	s := w.agent.Create("web", "--network", "small", "-p", "8080:7000", "-p", "8080:7000/udp")
	s.AnswerTCP("web", ":7000")
	s.AnswerUDP("web", ":7000")
	if got := s.Run("cat", "/proc/net/dev"); !strings.Contains(got, "eth0") {
		t.Fatalf("no eth0:\n%s", got)
	}
	if got := s.Run("ip", "-o", "link", "show", "eth0"); !strings.Contains(got, "mtu 1280") {
		t.Errorf("eth0: %s", got)
	}
	for _, network := range []string{"tcp", "udp"} {
		if _, err := w.client.Ask(network, hostIP+":8080"); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// A bridge that was there is used, and stays with all it had.
func TestExistingBridge(t *testing.T) {
	w := newWorld(t)
	w.host.IP("link", "add", "br7", "type", "bridge")
	w.host.IP("addr", "add", "10.77.0.1/24", "dev", "br7")
	w.host.IP("addr", "add", "10.78.0.1/24", "dev", "br7")
	w.host.IP("link", "set", "br7", "up")
	before := w.host.IP("-o", "-4", "addr", "show", "dev", "br7")
	w.agent.Ebnet("network", "create", "mine", "--bridge", "br7", "--subnet", "10.77.0.0/24")
	s := w.agent.Create("web", "--network", "mine", "-p", "8080:7000")
	s.AnswerTCP("web", ":7000")
	if gw := w.agent.Network("mine").Gateways[0].String(); gw != "10.77.0.1" {
		t.Errorf("gateway %s, want the bridge's 10.77.0.1", gw)
	}
	if _, err := w.client.Ask("tcp", hostIP+":8080"); err != nil {
		t.Error(err)
	}
	w.agent.Ebnet("sandbox", "rm", "web")
	w.agent.Ebnet("network", "rm", "mine")
	if after := w.host.IP("-o", "-4", "addr", "show", "dev", "br7"); after != before {
		t.Errorf("addresses of the bridge:\n%swant\n%s", after, before)
	}
	w.host.IP("link", "del", "br7")
}
