package control

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
)

func TestPreview(t *testing.T) {
	w := newWorld(t)
	web := on(container("web", "bridge 172.17.0.2/16"), "8080:80", "9000-9001:90-91/udp", "[::]:8080:80", "7000:70/sctp", "8443:443")
	world := w.dockerWorld(web, container("late", "bridge 172.17.0.3/16"), stopped(container("stopped")))
	front := dockerNetwork("front", "br-front", "172.20.0.0/16")
	front.Subnets = append(front.Subnets, engine.Subnet{Prefix: netip.MustParsePrefix("fd00:77::/64")})
	world.Networks = append(world.Networks, front)
	w.plug("veth1234567", "docker0", "/fake/docker-web", "eth0", "172.17.0.2/16")
	published := []api.Publish{
		{Proto: "tcp", HostIP: "0.0.0.0", HostPort: 8443, HostPortEnd: 8443, Sandbox: "own", Owner: "ebnet"},
		{Proto: "tcp", HostIP: "0.0.0.0", HostPort: 8080, HostPortEnd: 8080, Sandbox: "docker/web", Owner: "docker"}, // adopted already
	}
	before := w.all()
	w.arm(0, false)
	show := func(world engine.World, rules bool) string {
		lines, err := preview(world, published, rules, w)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		for _, l := range lines {
			fmt.Fprintf(&out, "%s | %s | %s | %s\n", l.Kind, l.Name, l.What, l.Action)
		}
		return out.String()
	}
	want := `network | docker/bridge | docker0 172.17.0.0/16 | adopted; a program on docker0 drops what containers send past their own
network | docker/front | br-front 172.20.0.0/16 fd00:77::/64 | adopted when its bridge is there
endpoint | docker/web | 172.17.0.2 on docker/bridge | a program on veth1234567 carries what it sends
port | docker/web | 0.0.0.0:8080/tcp | published to 172.17.0.2:80/tcp
port | docker/web | 0.0.0.0:9000-9001/udp | published to 172.17.0.2:90-91/udp
port | docker/web | [::]:8080/tcp | left to Docker: the container has no IPv6 address
port | docker/web | 0.0.0.0:7000/sctp | left to Docker: docker/web publishes 0.0.0.0:7000/sctp: sctp is not supported yet
port | docker/web | 0.0.0.0:8443/tcp | left to Docker: docker/web publishes 0.0.0.0:8443/tcp, which is published to own already and stays so: "ebnet unpublish 8443" ends that
endpoint | docker/late | 172.17.0.3 on docker/bridge | served when its link on docker0 is up
`
	if got := show(world, false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	want = "network | docker/bridge | docker0 172.17.0.0/16 | adopted; Docker's rules stay, and carry what has begun\n"
	if got := show(engine.World{Networks: world.Networks[:1]}, true); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if after := w.all(); after != before || len(w.calls) > 0 {
		t.Errorf("a dry run changed something: %q\n%s\nbefore:\n%s", w.calls, after, before)
	}
}
