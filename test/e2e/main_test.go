// Package e2e shows ebnet at work as its users meet it: hosts and clients are network
// namespaces, the agent, the sandboxes' programs and the traffic are real.
package e2e

import (
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

// addrPort writes an address of a sandbox with a port.
func addrPort(s *lab.Sandbox, port string) string { return s.Addr.String() + ":" + port }
