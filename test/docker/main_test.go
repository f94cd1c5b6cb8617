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
	hostIP   = "198.51.100.1"
	otherIP  = "198.51.100.9" // the host's second
	clientIP = "198.51.100.2"
)

// site is a host on which Docker is to be, and a client on its one uplink.
type site struct {
	*lab.Lab
	client, host *lab.Machine
	agent        *lab.Agent // nil while Docker is alone
}

func newSite(t *testing.T) *site {
	t.Helper()
	l := lab.New(t)
	w := &site{Lab: l, client: l.Machine("client"), host: l.Machine("host")}
	l.Wire(
		lab.Port{On: w.client, Dev: "eth0", Addr: clientIP + "/24"},
		lab.Port{On: w.host, Dev: "eth0", Addr: hostIP + "/24"},
	)
	return w
}
