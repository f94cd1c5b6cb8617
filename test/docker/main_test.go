// Package docker shows ebnet in the place of Docker's iptables: real Docker daemons of two
// versions, each on a host of its own, with real containers and somebody outside.
package docker

import (
	"os"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Build(m)) }

// wait is for what comes soon, but not at once.
const wait = 20 * time.Second

// Addresses of the world that all of it happens in.
const (
	hostIP   = lab.PairHost
	otherIP  = "198.51.100.9" // the host's second
	clientIP = lab.PairClient
)

// site is a host on which Docker is to be, and a client on its one uplink.
type site struct {
	*lab.Lab
	client, host *lab.Machine
	agent        *lab.Agent // nil while Docker is alone
}

func newSite(t *testing.T) *site {
	t.Helper()
	l, client, host := lab.NewPair(t)
	return &site{Lab: l, client: client, host: host}
}
