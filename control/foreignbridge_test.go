package control

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestAddressOnForeignBridge: what ebnet adds to a bridge that was there goes with the
// network, whatever happens in between, and what the bridge had stays, also where
// ebnet has repaired it.
func TestAddressOnForeignBridge(t *testing.T) {
	removed := func(addrs ...string) func(*world) {
		return func(w *world) {
			l := w.links["docker0"]
			l.Addrs = slices.DeleteFunc(slices.Clone(l.Addrs), func(p netip.Prefix) bool { return slices.Contains(prefixes(addrs...), p) })
			w.change(l)
		}
	}
	for name, row := range map[string]struct {
		create  api.NetworkCreate
		has     []netip.Prefix // while the network is there
		between func(*world)
	}{
		"another subnet":         {api.NetworkCreate{Subnets: prefixes("10.7.0.0/24")}, prefixes("10.30.0.7/24", "10.7.0.1/24"), func(*world) {}},
		"another gateway":        {api.NetworkCreate{Subnets: prefixes("10.30.0.0/24"), Gateways: addrs("10.30.0.1")}, prefixes("10.30.0.7/24", "10.30.0.1/24"), func(*world) {}},
		"the bridge's own":       {api.NetworkCreate{}, prefixes("10.30.0.7/24"), func(*world) {}},
		"of another length":      {api.NetworkCreate{Subnets: prefixes("10.30.0.0/25")}, prefixes("10.30.0.7/24", "10.30.0.7/25"), func(*world) {}},
		"added, repaired":        {api.NetworkCreate{Subnets: prefixes("10.7.0.0/24")}, prefixes("10.30.0.7/24", "10.7.0.1/24"), removed("10.7.0.1/24")},
		"the bridge's, repaired": {api.NetworkCreate{}, prefixes("10.30.0.7/24"), removed("10.30.0.7/24")},
	} {
		for how, end := range map[string]func(*Agent) error{
			"network rm": removeNetwork("blue"),
			"purge":      func(a *Agent) error { return a.Purge(t.Context(), api.Purge{}) },
			"purge without an agent": func(a *Agent) error {
				return purger{a.opt, a.links, a.endProcesses, a.purgePrograms}.run(a.want, a.store)
			},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				w := newWorld(t)
				w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("10.30.0.7/24")})
				row.create.Name, row.create.Bridge = "blue", "docker0"
				if err := createNetwork(row.create)(w.agent()); err != nil {
					t.Fatal(err)
				}
				row.between(w)
				a := w.agent()
				if got := w.links["docker0"].Addrs; !slices.Equal(got, row.has) {
					t.Errorf("the bridge has %s, want %s", got, row.has)
				}
				row.between(w)
				a.reconcile()
				if got := w.links["docker0"].Addrs; !slices.Equal(got, row.has) {
					t.Errorf("after a reconcile the bridge has %s, want %s", got, row.has)
				}
				if err := end(a); err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(w.links["docker0"].Addrs); got != "[10.30.0.7/24]" {
					t.Errorf("the bridge is left with %s", got)
				}
			})
		}
	}
}
