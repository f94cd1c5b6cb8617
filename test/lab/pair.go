package lab

import "testing"

// Addresses of a pair.
const (
	PairHost   = "198.51.100.1"
	PairClient = "198.51.100.2"

	PairHost6   = "2001:db8:100::1"
	PairClient6 = "2001:db8:100::2"
)

// NewPair makes a lab with a host and a client on its one uplink.
func NewPair(t testing.TB) (l *Lab, client, host *Machine) {
	t.Helper()
	l = New(t)
	client, host = l.Machine("client"), l.Machine("host")
	l.Wire(
		Port{On: client, Dev: "eth0", Addr: PairClient + "/24", Addr6: PairClient6 + "/64"},
		Port{On: host, Dev: "eth0", Addr: PairHost + "/24", Addr6: PairHost6 + "/64"},
	)
	return l, client, host
}
