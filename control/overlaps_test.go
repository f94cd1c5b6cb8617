package control

import (
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestAddressTwice: when the host gets an address that a sandbox has, on whatever device,
// status names both until one of them has gone.
func TestAddressTwice(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "lo", Kind: "device", Up: true, Loopback: true, Addrs: prefixes("127.0.0.1/8")})
	a := w.agent()
	err := all(
		createNetwork(api.NetworkCreate{Name: "blue", Subnets: prefixes("10.7.0.0/24")}),
		createSandbox("web", []string{"default", "blue"}),
		createSandbox("db", []string{"blue"}),
	)(a)
	if err != nil {
		t.Fatal(err)
	}
	problems := func() string {
		t.Helper()
		a.reconcile()
		status, err := a.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(status.Problems, "\n")
	}
	if got := problems(); got != "" {
		t.Fatalf("problems before: %s", got)
	}
	for _, row := range []struct{ dev, addr, want string }{
		{"lo", "10.7.0.3/32", "address 10.7.0.3 of sandbox db on network blue is the host's, too: remove it from lo, or connect the sandbox with another"},
		{"up0", "10.7.0.2/24", "address 10.7.0.2 of sandbox web on network blue is the host's, too: remove it from up0, or"},
		{a.want.networks["blue"].Bridge, "10.7.0.2/24", "address 10.7.0.2 of sandbox web on network blue is the host's, too: remove it from eb-"},
	} {
		before := w.links[row.dev]
		with := before
		with.Addrs = slices.Concat(before.Addrs, prefixes(row.addr))
		w.change(with)
		if got := problems(); strings.Count(got, "is the host's, too") != 1 || !strings.Contains(got, row.want) {
			t.Errorf("%s on %s: %q, want %q", row.addr, row.dev, got, row.want)
		}
		w.change(before)
		if got := problems(); got != "" {
			t.Errorf("%s taken off %s again: %q", row.addr, row.dev, got)
		}
	}
	up := w.links["up0"]
	up.Addrs = append(up.Addrs, prefixes("10.7.0.3/32")...)
	w.change(up)
	if err := disconnect("blue", "db")(a); err != nil {
		t.Fatal(err)
	}
	if got := problems(); strings.Contains(got, "db") {
		t.Errorf("the sandbox has left the network, and still: %q", got)
	}
}
