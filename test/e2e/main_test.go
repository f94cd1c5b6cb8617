// Package e2e shows ebnet at work as its users meet it: hosts and clients are network
// namespaces, the agent, the sandboxes' programs and the traffic are real.
package e2e

import (
	"net/netip"
	"os"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Build(m)) }

// Addresses of the world that most tests happen in.
const (
	hostIP   = lab.PairHost
	clientIP = lab.PairClient
)

// world is a host with an agent, and a client on its one uplink.
type world struct {
	*lab.Lab
	client, host *lab.Machine
	agent        *lab.Agent
}

// newWorld makes a world; flags are the agent's.
func newWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w := newHost(t)
	w.agent = w.host.Agent(flags...)
	return w
}

// newHost makes a world in which no agent has started yet.
func newHost(t *testing.T) *world {
	t.Helper()
	l, client, host := lab.NewPair(t)
	return &world{Lab: l, client: client, host: host}
}

// ipFamily is how a test does the same over IPv4 and over IPv6.
type ipFamily struct {
	name         string
	host, client string // their addresses
	loopback     string
	all          string // to listen on
	network      string // of the sandboxes; empty: the default one
}

var ipFamilies = []ipFamily{
	{"IPv4", hostIP, clientIP, "127.0.0.1", "", "default"},
	{"IPv6", lab.PairHost6, lab.PairClient6, "::1", "::", "both"},
}

// overFamilies runs a test over IPv4 and over IPv6.
func overFamilies(t *testing.T, test func(*testing.T, ipFamily)) {
	t.Helper()
	for _, f := range ipFamilies {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}

// newFamilyWorld is newWorld with a network that has the family.
func newFamilyWorld(t *testing.T, f ipFamily, flags ...string) *world {
	t.Helper()
	w := newWorld(t, flags...)
	if f.network != "default" {
		w.agent.Ebnet("network", "create", f.network, "--ipv6")
	}
	return w
}

// create creates a sandbox on the family's network.
func (w *world) create(f ipFamily, name string, flags ...string) *lab.Sandbox {
	return w.agent.Create(name, append([]string{"--network", f.network}, flags...)...)
}

// of is a sandbox's address of the family.
func (f ipFamily) of(s *lab.Sandbox) netip.Addr {
	if f.all == "" {
		return s.Addr
	}
	return s.Addr6
}

// gateway is that of the family's network.
func (f ipFamily) gateway(a *lab.Agent) netip.Addr {
	gateways := a.Network(f.network).Gateways
	return gateways[len(gateways)-1]
}

// addrPort writes an address of a sandbox with a port.
func addrPort(s *lab.Sandbox, port string) string { return at(s.Addr.String(), port) }
