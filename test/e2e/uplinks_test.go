package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

func TestSeveralUplinks(t *testing.T)       { uplinks(t) }
func TestSeveralUplinksClsact(t *testing.T) { uplinks(t, "--attach", "clsact") }

// uplinks: two uplinks from the start, and one that comes while the agent runs. Each
// carries published ports, and masquerade takes each one's own address.
func uplinks(t *testing.T, flags ...string) {
	l := lab.New(t)
	host := l.Machine("host")
	var clients []*lab.Machine
	wire := func(i int) {
		c := l.Machine(fmt.Sprintf("client%d", i))
		l.Wire(
			lab.Port{On: c, Dev: "eth0", Addr: fmt.Sprintf("198.51.%d.2/24", i)},
			lab.Port{On: host, Dev: fmt.Sprintf("eth%d", i), Addr: fmt.Sprintf("198.51.%d.1/24", i)},
		)
		c.AnswerTCP("outside", ":7000")
		c.AnswerUDP("outside", ":7000")
		clients = append(clients, c)
	}
	wire(0)
	wire(1)
	agent := host.Agent(flags...)
	s := agent.Create("a", "-p", "8080:7000", "-p", "8080:7000/udp")
	s.AnswerTCP("a", ":7000")
	s.AnswerUDP("a", ":7000")
	wire(2)
	lab.Eventually(t, wait, func() error {
		if got := len(agent.Status().Uplinks); got != 3 {
			return fmt.Errorf("%d uplinks", got)
		}
		return nil
	})
	for i, c := range clients {
		mine, theirs := fmt.Sprintf("198.51.%d.1", i), fmt.Sprintf("198.51.%d.2", i)
		for _, network := range []string{"tcp", "udp"} {
			if reply, err := c.Ask(network, mine+":8080"); err != nil || reply.Client.Addr().String() != theirs {
				t.Errorf("%s to the port on uplink %d: %+v, %v", network, i, reply, err)
			}
			if reply, err := s.Ask(network, theirs+":7000"); err != nil || reply.Client.Addr().String() != mine {
				t.Errorf("%s out of uplink %d: %+v, %v", network, i, reply, err)
			}
		}
	}
	// An uplink that goes away takes nothing else with it.
	host.IP("link", "del", "eth1")
	lab.Eventually(t, wait, func() error {
		if st := agent.Status(); len(st.Uplinks) != 2 || len(st.Problems) > 0 {
			return fmt.Errorf("status %+v", st)
		}
		return nil
	})
	for _, i := range []int{0, 2} {
		if _, err := clients[i].Ask("tcp", fmt.Sprintf("198.51.%d.1:8080", i)); err != nil {
			t.Error(err)
		}
	}
}

// The outside is behind a router, and the host's address and route change while the
// agent runs.
func TestRouterAndAddressChange(t *testing.T) {
	l := lab.New(t)
	host, router, far := l.Machine("host"), l.Machine("router"), l.Machine("far")
	l.Wire(
		lab.Port{On: router, Dev: "in", Addr: "198.51.100.254/24"},
		lab.Port{On: host, Dev: "eth0", Addr: hostIP + "/24"},
	)
	l.Wire(
		lab.Port{On: router, Dev: "out", Addr: "203.0.113.254/24"},
		lab.Port{On: far, Dev: "eth0", Addr: "203.0.113.2/24"},
	)
	router.Sysctl("net.ipv4.ip_forward", "1")
	far.Route("default", netip.MustParseAddr("203.0.113.254"))
	agent := host.Agent()
	s := agent.Create("a", "-p", "8080:7000")
	s.AnswerTCP("a", ":7000")
	far.AnswerTCP("far", ":7000")

	host.Route("default", netip.MustParseAddr("198.51.100.254"))
	check := func(addr string) {
		t.Helper()
		lab.Eventually(t, wait, func() error {
			reply, err := s.Ask("tcp", "203.0.113.2:7000")
			if err == nil && reply.Client.Addr().String() != addr {
				err = fmt.Errorf("seen as %s, want %s", reply.Client, addr)
			}
			return err
		})
		lab.Eventually(t, wait, func() error {
			_, err := far.Ask("tcp", addr+":8080")
			return err
		})
	}
	check(hostIP)
	host.IP("addr", "add", "198.51.100.77/24", "dev", "eth0")
	host.IP("addr", "del", hostIP+"/24", "dev", "eth0")
	host.IP("addr", "replace", "198.51.100.77/24", "dev", "eth0")
	host.Route("default", netip.MustParseAddr("198.51.100.254"))
	check("198.51.100.77")
}
