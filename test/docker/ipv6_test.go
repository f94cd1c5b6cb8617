package docker

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// Docker's networks with IPv6 are served by both families: their containers are published
// on [::], leave as the host, and are not reached by their own addresses from outside.
func TestDockerIPv6(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := newSite(t)
		docker := s.host.Docker(version, lab.DockerOptions{})
		s.agent = s.host.Agent("--docker=" + docker.Socket())
		s.client.AnswerTCP("client", "[::]:7000")
		s.client.AnswerUDP("client", "[::]:7000")
		const subnet = "2001:db8:77::/64"
		docker.Run("network", "create", "--ipv6", "--subnet", subnet, "--gateway", "2001:db8:77::1", "six")
		for _, name := range []string{"web", "other"} {
			docker.Run("run", "--detach", "--name", name, "--network", "six", "--publish-all", "--expose", "9", lab.DockerImage,
				"traffic", "tell", name, "[::]:7000", "0.0.0.0:7000")
		}
		docker.Run("rm", "--force", "web")
		docker.Run("run", "--detach", "--name", "web", "--network", "six", "--publish", "8080:7000", "--publish", "8080:7000/udp",
			"--ip6", "2001:db8:77::9", lab.DockerImage, "traffic", "tell", "web", "[::]:7000", "0.0.0.0:7000")
		docker.Run("run", "--detach", "--name", "old", "--publish", "8081:7000", lab.DockerImage, "traffic", "tell", "old", "0.0.0.0:7000")
		web, other := docker.Container("web"), docker.Container("other")
		const web6, gateway = "2001:db8:77::9", "2001:db8:77::1"
		at := func(addr, port string) string { return net.JoinHostPort(addr, port) }
		lab.Eventually(t, wait, func() error {
			_, err := s.client.AskSoon("tcp", at(lab.PairHost6, "8080"))
			return err
		})
		for _, network := range []string{"tcp", "udp"} {
			for _, row := range []struct {
				from       *lab.Machine
				to, seenAs string
			}{
				{s.client, at(lab.PairHost6, "8080"), lab.PairClient6},
				{s.client, at(hostIP, "8080"), clientIP},
				{s.host, at(lab.PairHost6, "8080"), gateway},
				{s.host, "[::1]:8080", gateway},
				{s.host, at(web6, "7000"), gateway},
				{other.Machine, at(web6, "7000"), ""},
				{other.Machine, at(lab.PairHost6, "8080"), ""},
				{web.Machine, at(lab.PairHost6, "8080"), gateway},
				{web.Machine, at(lab.PairClient6, "7000"), lab.PairHost6},
			} {
				reply, err := row.from.Ask(network, row.to)
				if err != nil || row.seenAs != "" && reply.Client.Addr().String() != row.seenAs {
					t.Errorf("%s by %s to %s: %+v, %v; want %s", row.from.Name, network, row.to, reply, err, row.seenAs)
				}
			}
		}
		if reply, err := s.host.Ask("tcp", "[::1]:8081"); err != nil || reply.Server != "old" {
			t.Errorf("a container of IPv4 alone, on the host: %+v, %v", reply, err)
		}
		s.client.Route(subnet, netip.MustParseAddr(lab.PairHost6))
		s.client.Unreachable("tcp", at(web6, "7000"))
		s.client.Unreachable("udp", at(web6, "7000"))
		out := s.agent.Ebnet("port")
		for _, line := range []string{"7000/tcp -> [::]:8080", "7000/tcp -> 0.0.0.0:8080", "7000/tcp -> 0.0.0.0:8081"} {
			if !strings.Contains(out, line) {
				t.Errorf("ebnet port does not show %s:\n%s", line, out)
			}
		}
		if strings.Contains(out, "[::]:8081") {
			t.Errorf("ebnet port shows IPv6 of a container that has none:\n%s", out)
		}
		if problems := s.agent.Status().Problems; len(problems) > 0 {
			t.Errorf("problems %q", problems)
		}
		// ebnet's own port on it, kept while it restarts, and a source list.
		s.agent.Ebnet("publish", "9000:7000", "--to", "web")
		s.agent.Ebnet("allow", "8080", "--set", "192.0.2.0/24,"+lab.PairClient6)
		docker.Run("restart", "--time", "0", "web")
		lab.Eventually(t, wait, func() error {
			for _, port := range []string{"8080", "9000"} {
				if _, err := s.client.AskSoon("tcp", at(lab.PairHost6, port)); err != nil {
					return err
				}
			}
			return nil
		})
		s.client.Unreachable("tcp", at(hostIP, "8080"))
	})
}
