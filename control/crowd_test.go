package control

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/ebnet/ebnet/control/api"
)

var apiBlue = api.NetworkCreate{Name: "blue", Subnets: prefixes("10.7.0.0/24")}

// TestCrowd: twenty clients make a thousand sandboxes on ten networks, connect and
// disconnect them, and remove half of them. No address and no port is given twice,
// and what is left is what nobody removed, in the store as in the kernel.
func TestCrowd(t *testing.T) {
	const clients, each, networks = 20, 50, 10
	w := newWorld(t)
	a := w.agent()
	untouched := w.all()
	for i := range networks {
		c := api.NetworkCreate{Name: fmt.Sprint("net", i), Subnets: prefixes(fmt.Sprintf("10.%d.0.0/16", i))}
		if err := createNetwork(c)(a); err != nil {
			t.Fatal(err)
		}
	}
	client := func(c int) error {
		network := func(i int) string { return fmt.Sprint("net", i%networks) }
		own := fmt.Sprint("own", c)
		if err := createNetwork(api.NetworkCreate{Name: own, Driver: api.DriverNone})(a); err != nil {
			return err
		}
		for i := range each {
			name := fmt.Sprintf("s%d-%d", c, i)
			work := all(
				createSandbox(name, []string{network(c + i), network(c + i + 1)}, "0:80"),
				connect(network(c+i+2), name),
				disconnect(network(c+i), name),
				publish(api.PublishCreate{Spec: spec("0:81"), Sandbox: name}),
			)
			if err := work(a); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if i%2 == 1 {
				if err := a.RemoveSandbox(t.Context(), name); err != nil {
					return err
				}
			}
		}
		return removeNetwork(own)(a)
	}
	results := make(chan error)
	for c := range clients {
		go func() { results <- client(c) }()
	}
	var errs []error
	for range clients {
		errs = append(errs, <-results)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	const left = clients * each / 2
	state, err := w.store.State()
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Sandboxes) != left || len(state.Publishes) != left || len(state.Networks) != networks+1 {
		t.Errorf("%d sandboxes, %d publishes, %d networks in the store", len(state.Sandboxes), len(state.Publishes), len(state.Networks))
	}
	given := map[netip.Addr]string{}
	for _, sb := range state.Sandboxes {
		if len(sb.Attachments) != 2 {
			t.Errorf("%s is on %d networks", sb.Name, len(sb.Attachments))
		}
		for _, at := range sb.Attachments {
			addr := at.Addresses[0].Addr()
			if other, taken := given[addr]; taken {
				t.Errorf("%s and %s have %s", other, sb.Name, addr)
			}
			given[addr] = sb.Name
		}
	}
	if len(w.endpoints) != 2*left || len(w.publishes) != left || len(w.netns) != left {
		t.Errorf("%d endpoints, %d publishes, %d namespaces in the kernel", len(w.endpoints), len(w.publishes), len(w.netns))
	}
	taken := takenNow(a)
	w.arm(0, false)
	a = w.agent()
	if got := takenNow(a); got != taken || len(a.problems) > 0 {
		t.Errorf("after a restart %s, before %s; problems %q", got, taken, a.problems)
	}
	for _, sb := range state.Sandboxes {
		if err := a.RemoveSandbox(t.Context(), sb.Name); err != nil {
			t.Fatal(err)
		}
	}
	for i := range networks {
		if err := removeNetwork(fmt.Sprint("net", i))(a); err != nil {
			t.Fatal(err)
		}
	}
	if after := w.all(); after != untouched {
		t.Errorf("something is left:\n%.2000s\nat first:\n%s", after, untouched)
	}
}
