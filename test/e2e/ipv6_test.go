package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

const (
	hostIP6   = lab.PairHost6
	clientIP6 = lab.PairClient6
)

// at writes an address of either family with a port.
func at(addr, port string) string { return net.JoinHostPort(addr, port) }

// answer answers on TCP and UDP at a port of either family's addresses.
func answer(m *lab.Machine, name, port string) {
	for _, all := range []string{"", "::"} {
		m.AnswerTCP(name, at(all, port))
		m.AnswerUDP(name, at(all, port))
	}
}

func TestIPv6(t *testing.T)       { dualStack(t) }
func TestIPv6Clsact(t *testing.T) { dualStack(t, "--attach", "clsact") }

// dualStack: a sandbox on a network with both families, by all its ways over IPv6.
func dualStack(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	n := w.agent.Network("both")
	if len(n.Subnets) != 2 || !netip.MustParsePrefix("fd00::/8").Contains(n.Subnets[1].Addr()) || n.Subnets[1].Bits() != 64 {
		t.Fatalf("subnets %v", n.Subnets)
	}
	a := w.agent.Create("a", "--network", "both", "-p", "8080:7000", "-p", "8080:7000/udp")
	b := w.agent.Create("b", "--network", "both")
	gateway := n.Gateways[1].String()
	// No duplicate detection, and none of the first packets is lost.
	if out := a.Run("ping", "-n", "-c", "1", "-W", "2", gateway); !strings.Contains(out, "1 received") {
		t.Errorf("ping the gateway:\n%s", out)
	}
	answer(a.Machine, "a", "7000")
	answer(b.Machine, "b", "7000")
	answer(w.client, "outside", "7000")
	for _, to := range []string{b.Addr6.String(), clientIP6, clientIP} {
		if out := a.Try("ping", "-n", "-c", "2", "-i", "0.2", "-W", "2", to); !strings.Contains(out.Out, "2 received") {
			t.Errorf("ping %s:\n%s", to, out.Out)
		}
	}
	for _, network := range []string{"tcp", "udp"} {
		for _, row := range []struct {
			name       string
			from       *lab.Machine
			to, seenAs string
		}{
			{"masquerade", a.Machine, at(clientIP6, "7000"), hostIP6},
			{"masquerade IPv4", a.Machine, at(clientIP, "7000"), hostIP},
			{"published", w.client, at(hostIP6, "8080"), clientIP6},
			{"published IPv4", w.client, at(hostIP, "8080"), clientIP},
			{"published on the gateway", w.host, at(gateway, "8080"), gateway},
			{"on the host", w.host, "[::1]:8080", gateway},
			{"on the host by its address", w.host, at(hostIP6, "8080"), gateway},
			{"hairpin", b.Machine, at(hostIP6, "8080"), b.Addr6.String()},
			{"hairpin by the gateway", b.Machine, at(gateway, "8080"), b.Addr6.String()},
			{"itself", a.Machine, at(hostIP6, "8080"), gateway},
			{"neighbour", b.Machine, at(a.Addr6.String(), "7000"), b.Addr6.String()},
			{"host", w.host, at(a.Addr6.String(), "7000"), gateway},
		} {
			c := row.from.Talk(network, "", row.to)
			for range 3 {
				reply, err := c.Ask()
				if err != nil || reply.Client.Addr().String() != row.seenAs {
					t.Errorf("%s, %s: %+v, %v; want %s", row.name, network, reply, err, row.seenAs)
					break
				}
			}
			if got := c.RemoteAddr().String(); got != row.to {
				t.Errorf("%s, %s: the peer of %s is %s", row.name, network, row.to, got)
			}
		}
	}
}

// The way out leads by a router's link-local address, as router advertisements have it.
func TestIPv6ByLinkLocalRouter(t *testing.T) {
	w := newWorld(t)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	const far = "2001:db8:999::1"
	w.client.IP("addr", "add", far+"/128", "dev", "lo")
	w.client.Settle()
	router := linkLocal(t, w.client)
	w.host.IP("-6", "route", "add", "default", "via", router, "dev", "eth0")
	w.client.AnswerTCP("far", at(far, "7000"))
	w.client.AnswerUDP("far", at(far, "7000"))
	s := w.agent.Create("a", "--network", "both", "-p", "8080:7000")
	answer(s.Machine, "a", "7000")
	for _, network := range []string{"tcp", "udp"} {
		for range 3 {
			if reply, err := s.Ask(network, at(far, "7000")); err != nil || reply.Client.Addr().String() != hostIP6 {
				t.Errorf("%s to the far side: %+v, %v", network, reply, err)
			}
		}
	}
	c := w.client.Talk("tcp", at(far, "0"), at(hostIP6, "8080"))
	for range 3 {
		if reply := w.client.MustAsk(c); reply.Client.Addr().String() != far {
			t.Errorf("from the far side: seen as %s", reply.Client)
		}
	}
}

// linkLocal is the link-local address of a machine's eth0.
func linkLocal(t *testing.T, m *lab.Machine) string {
	t.Helper()
	for _, word := range strings.Fields(m.IP("-6", "-o", "addr", "show", "dev", "eth0", "scope", "link")) {
		if p, err := netip.ParsePrefix(word); err == nil {
			return p.Addr().String()
		}
	}
	t.Fatalf("%s has no link-local address", m.Name)
	return ""
}

// TCP of large segments and many connections, by both ways.
func TestIPv6Bulk(t *testing.T)       { bulk6(t) }
func TestIPv6BulkClsact(t *testing.T) { bulk6(t, "--attach", "clsact") }

func bulk6(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	inside := w.agent.RunIn("iperf", []string{"--network", "both", "-p", "5201:5201"}, "iperf3", "-s", "--forceflush").Proc
	outside := w.client.Start("iperf3", "-s", "--forceflush")
	s := w.agent.Create("a", "--network", "both")
	peer := w.agent.Sandbox("iperf").Addr6.String()
	for name, run := range map[string][]string{
		"published": w.iperf(t, inside, w.client, hostIP6), "masqueraded": w.iperf(t, outside, s.Machine, clientIP6),
		"neighbour": w.iperf(t, inside, s.Machine, peer), "published, backwards": w.iperf(t, inside, w.client, hostIP6, "-R"),
		"on the host": w.iperf(t, inside, w.host, "::1"),
	} {
		if len(run) > 0 {
			t.Errorf("%s: %v", name, run)
		}
	}
}

// iperfListens waits until an iperf3 server is free again: it says so each time, and sends
// away whoever comes earlier.
func iperfListens(t testing.TB, server *lab.Proc) {
	t.Helper()
	lab.Eventually(t, wait, func() error {
		out := server.Output()
		if strings.LastIndex(out, "Server listening") > strings.LastIndex(out, "Accepted connection") {
			return nil
		}
		return errors.New("the server is not free:\n" + out)
	})
}

// iperf runs a client for a second and says what is wrong.
func (w *world) iperf(t *testing.T, server *lab.Proc, m *lab.Machine, to string, flags ...string) []string {
	t.Helper()
	iperfListens(t, server)
	res := m.Try(append([]string{"iperf3", "-6", "-c", to, "-t", "1", "-J"}, flags...)...)
	var report struct {
		Error string
		End   struct {
			Received struct {
				Bytes float64 `json:"bytes"`
			} `json:"sum_received"`
			Sent struct {
				Retransmits int `json:"retransmits"`
			} `json:"sum_sent"`
		}
	}
	err := json.Unmarshal([]byte(res.Out), &report)
	if err != nil || res.Code != 0 || report.End.Received.Bytes < 50<<20 {
		return []string{fmt.Sprint(err), report.Error, res.Err, fmt.Sprint(report.End)}
	}
	return nil
}
