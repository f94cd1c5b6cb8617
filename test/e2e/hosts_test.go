package e2e

import (
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/test/lab"
)

// Two hosts on one LAN, each with its own agent on the same kernel: each keeps to its
// own, and what is published on one is reached from the other's sandboxes.
func TestTwoHosts(t *testing.T)       { twoHosts(t) }
func TestTwoHostsClsact(t *testing.T) { twoHosts(t, "--attach", "clsact") }

func twoHosts(t *testing.T, flags ...string) {
	l := lab.New(t)
	hosts := []*lab.Machine{l.Machine("host0"), l.Machine("host1")}
	addrs := []string{"198.51.100.10", "198.51.100.11"}
	l.LAN("lan",
		lab.Port{On: hosts[0], Dev: "eth0", Addr: addrs[0] + "/24"},
		lab.Port{On: hosts[1], Dev: "eth0", Addr: addrs[1] + "/24"},
	)
	names := []string{"zero", "one"}
	var boxes []*lab.Sandbox
	var agents []*lab.Agent
	for i, host := range hosts {
		agent := host.Agent(flags...)
		s := agent.Create("box", "-p", "8080:7000", "-p", "8080:7000/udp")
		s.AnswerTCP(names[i], ":7000")
		s.AnswerUDP(names[i], ":7000")
		agents, boxes = append(agents, agent), append(boxes, s)
	}
	for _, network := range []string{"tcp", "udp"} {
		for i, host := range hosts {
			if reply, err := host.Ask(network, "127.0.0.1:8080"); err != nil || reply.Server != names[i] {
				t.Errorf("%s: localhost on %s: %+v, %v", network, host.Name, reply, err)
			}
			other := addrs[1-i]
			if reply, err := host.Ask(network, other+":8080"); err != nil || reply.Server != names[1-i] || reply.Client.Addr().String() != addrs[i] {
				t.Errorf("%s: %s asks the other host: %+v, %v", network, host.Name, reply, err)
			}
			if reply, err := boxes[i].Ask(network, other+":8080"); err != nil || reply.Server != names[1-i] || reply.Client.Addr().String() != addrs[i] {
				t.Errorf("%s: the sandbox on %s asks the other host: %+v, %v", network, host.Name, reply, err)
			}
		}
	}
	agents[0].Purge()
	if reply, err := hosts[0].Ask("tcp", addrs[1]+":8080"); err != nil || reply.Server != "one" {
		t.Errorf("after the other agent's purge: %+v, %v", reply, err)
	}
}

// A socket that is bound to a loopback address cannot reach a sandbox, which would believe
// no packet of it. It is told so at once; others of the same host are led there.
func TestLoopbackSource(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000", "-p", "8080:7000/udp")
	s.AnswerTCP("a", ":7000")
	s.AnswerUDP("a", ":7000")
	for _, network := range []string{"tcp", "udp"} {
		for _, local := range []string{"127.0.0.1:0", "127.0.0.5:0"} {
			for _, remote := range []string{"127.0.0.1:8080", hostIP + ":8080"} {
				conn, err := w.host.Dial(network, local, remote)
				if !errors.Is(err, unix.ECONNREFUSED) {
					t.Errorf("%s from %s to %s: %v, want it refused", network, local, remote, err)
				}
				if err == nil {
					conn.Close()
				}
			}
		}
		if _, err := w.host.Ask(network, "127.0.0.1:8080"); err != nil {
			t.Errorf("%s: %v", network, err)
		}
	}
}

// A second agent for the same namespace, or with the same state, says whom it meets.
func TestSecondAgentRefused(t *testing.T) {
	w := newWorld(t)
	other := t.TempDir()
	for name, args := range map[string][]string{
		"same folders":   {"--state", w.agent.StateDir(), "--run", w.agent.RunDir(), "--bpffs", w.agent.Pins()},
		"same namespace": {"--state", other + "/state", "--run", other + "/run", "--bpffs", w.agent.Pins() + "2"},
	} {
		res := w.host.Try(append([]string{"ebnet", "agent", "--metrics", "off", "--netns-prefix", w.agent.Prefix}, args...)...)
		if res.Code != 1 || !strings.Contains(res.Err, "ebnet: ") || !strings.Contains(res.Err, "agent") {
			t.Errorf("%s: status %d, %s", name, res.Code, res.Err)
		}
	}
	if st := w.agent.Status(); !st.Ready || len(st.Problems) != 0 {
		t.Errorf("status of the first: %+v", st)
	}
}

// The loopback address of anybody but the host leads nowhere of ebnet's.
func TestLocalhostOfOthers(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000", "-p", "8080:7000/udp")
	s.AnswerTCP("a", ":7000")
	s.AnswerUDP("a", ":7000")
	for _, network := range []string{"tcp", "udp"} {
		if _, err := w.host.Ask(network, "127.0.0.1:8080"); err != nil {
			t.Error(err)
		}
		w.client.Unreachable(network, "127.0.0.1:8080")
		s.Unreachable(network, "127.0.0.1:8080")
	}
}

// A UDP socket of the host's that is not connected sees the published address as the
// sender of the answer, as with any server.
func TestHostUnconnectedUDP(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000/udp")
	s.AnswerUDP("a", ":7000")
	w.client.AnswerUDP("outside", ":7000")
	conn := w.host.ListenUDP(":0")
	buf := make([]byte, 1500)
	for _, to := range []string{"127.0.0.1:8080", hostIP + ":8080", clientIP + ":7000", addrPort(s, "7000"), "127.0.0.1:8080"} {
		addr, err := net.ResolveUDPAddr("udp4", to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteToUDP([]byte("hello"), addr); err != nil {
			t.Fatal(err)
		}
		n, from, err := conn.ReadFromUDP(buf)
		if err != nil || from.String() != to || !strings.HasSuffix(string(buf[:n]), "hello") {
			t.Errorf("sent to %s, got %q from %v, %v", to, buf[:n], from, err)
		}
	}
}
