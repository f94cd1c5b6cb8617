package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
)

// Twenty clients make and remove ten networks with a hundred sandboxes each, every tenth
// on three networks, all at once: no address is given twice, and nothing is left.
func TestCrowd(t *testing.T) {
	const networks, sandboxes, clients = 10, 100, 20
	w := newWorld(t)
	ctx := context.Background()
	client := api.NewClient(w.agent.Socket())
	for n := range networks {
		if _, err := client.CreateNetwork(ctx, api.NetworkCreate{Name: fmt.Sprintf("n%d", n)}); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	w.crowd(t, clients, networks*sandboxes, func(c *api.Client, i int) error {
		create := api.SandboxCreate{Name: fmt.Sprintf("s%d", i), Networks: []api.Attachment{{Network: fmt.Sprintf("n%d", i%networks)}}}
		if i/networks%10 == 0 {
			for more := 1; more < 3; more++ {
				create.Networks = append(create.Networks, api.Attachment{Network: fmt.Sprintf("n%d", (i+more)%networks)})
			}
		}
		_, err := c.CreateSandbox(ctx, create)
		return err
	})
	t.Logf("%d sandboxes on %d networks made by %d clients in %v", networks*sandboxes, networks, clients, time.Since(start).Round(time.Millisecond))
	all, err := client.Sandboxes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[netip.Addr]string{}
	endpoints := 0
	for _, s := range all {
		for _, ep := range s.Endpoints {
			endpoints++
			addr := ep.Addresses[0].Addr()
			if other, taken := seen[addr]; taken {
				t.Errorf("%s belongs to %s and %s", addr, other, s.Name)
			}
			seen[addr] = s.Name
		}
	}
	if want := networks * sandboxes * 12 / 10; len(all) != networks*sandboxes || endpoints != want {
		t.Errorf("%d sandboxes with %d endpoints, want %d with %d", len(all), endpoints, networks*sandboxes, want)
	}
	if st := w.agent.Status(); st.Endpoints != endpoints || len(st.Problems) != 0 {
		t.Errorf("status: %d endpoints, problems %q", st.Endpoints, st.Problems)
	}
	w.crowd(t, clients, networks*sandboxes, func(c *api.Client, i int) error {
		return c.RemoveSandbox(ctx, fmt.Sprintf("s%d", i))
	})
	for n := range networks {
		if err := client.RemoveNetwork(ctx, fmt.Sprintf("n%d", n)); err != nil {
			t.Error(err)
		}
	}
	if st := w.agent.Status(); st.Endpoints != 0 || len(st.Problems) != 0 {
		t.Errorf("status after all: %d endpoints, problems %q", st.Endpoints, st.Problems)
	}
}

// crowd does count things with several clients at once.
func (w *world) crowd(t *testing.T, clients, count int, do func(c *api.Client, i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	for k := range clients {
		wg.Go(func() {
			client := api.NewClient(w.agent.Socket())
			defer client.Close()
			for i := k; i < count; i += clients {
				if err := do(client, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// 100,000 ports are published in ten ranges; time and memory are reported.
func TestHundredThousandPorts(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a")
	s.AnswerTCP("last", ":60999")
	s.AnswerUDP("last", ":60999")
	start := time.Now()
	for _, proto := range []string{"tcp", "udp"} {
		for first := 11000; first < 61000; first += 10000 {
			ports := fmt.Sprintf("%d-%d", first, first+9999)
			w.agent.Ebnet("publish", ports+":"+ports+"/"+proto, "--to", "a")
		}
	}
	t.Logf("100,000 ports published in %v, agent %s", time.Since(start).Round(time.Millisecond), memory(t, w.agent.PID()))
	for _, network := range []string{"tcp", "udp"} {
		if reply, err := w.client.Ask(network, hostIP+":60999"); err != nil || reply.Server != "last" {
			t.Errorf("%s: the last port: %+v, %v", network, reply, err)
		}
	}
	if st := w.agent.Status(); st.Published != 100000 {
		t.Errorf("status: %d ports published", st.Published)
	}
	start = time.Now()
	w.agent.Ebnet("unpublish", "11000-20999")
	t.Logf("10,000 of them unpublished in %v", time.Since(start).Round(time.Millisecond))
}

// joinGroup has a socket receive what is sent to a multicast group.
func joinGroup(conn *net.UDPConn, group, dev string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	ifi, err := net.InterfaceByName(dev)
	if err != nil {
		return err
	}
	mreq := &unix.IPMreqn{Multiaddr: netip.MustParseAddr(group).As4(), Ifindex: int32(ifi.Index)}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq)
	}); err != nil {
		return err
	}
	return set
}
