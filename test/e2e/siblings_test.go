package e2e

import (
	"fmt"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// A sandbox on several networks is published on each of them, and answers from
// sockets that are bound to no address: to the outside, to sandboxes of any
// network, to the host and to itself. UDP then leaves by the default route, with
// the address of another network than the one that was asked.
func TestWildcardSockets(t *testing.T)       { wildcardSockets(t) }
func TestWildcardSocketsClsact(t *testing.T) { wildcardSockets(t, "--attach", "clsact") }

func wildcardSockets(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	for _, name := range []string{"one", "two", "three"} {
		w.agent.Ebnet("network", "create", "--ipv6", name)
	}
	web := w.agent.Create("web", "--network", "one", "--network", "two", "--network", "three")
	askers := map[string]interface {
		Ask(network, remote string) (lab.Reply, error)
	}{"the outside": w.client, "the host": w.host, "itself": web}
	for i, name := range []string{"one", "two", "three"} {
		// One port each: by the same port of two networks a client that stays on its own
		// port could not be told from itself.
		port := fmt.Sprintf(":%d", 7000+i)
		answer(web.Machine, "web", port[1:])
		w.agent.Ebnet("publish", fmt.Sprintf("%d%s", 8080+i, port), "--to", "web", "--network", name)
		w.agent.Ebnet("publish", fmt.Sprintf("%d%s/udp", 8080+i, port), "--to", "web", "--network", name)
		askers["a sandbox on "+name] = w.agent.Create("peer-"+name, "--network", name)
	}
	for who, from := range askers {
		for i, network := range []string{"one", "two", "three"} {
			for _, proto := range []string{"tcp", "udp"} {
				for _, host := range []string{hostIP, hostIP6} {
					for range 3 { // the first makes a flow, the others find it
						if _, err := from.Ask(proto, at(host, fmt.Sprint(8080+i))); err != nil {
							t.Errorf("%s asks what is published at %s on %s by %s: %v", who, host, network, proto, err)
							break
						}
					}
				}
			}
		}
	}
}
