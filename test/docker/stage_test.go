package docker

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// stage is a Docker host with somebody outside, on which scenarios are played.
type stage struct {
	*site
	t      testing.TB
	docker *lab.Docker

	actors map[string]*lab.Machine // by name: client, host and the containers
	names  map[netip.Addr]string   // whose an address is
	want   views
	asking sync.WaitGroup
	mu     sync.Mutex
	got    views
}

// views are what the clients of a scenario see, by what they did.
type views map[string]string

// scenario is something that a user of Docker does, and what the clients see of it.
type scenario struct {
	name   string
	play   func(s *stage)
	want   views // with plain Docker
	want26 views // where Docker 26.1 is different
	ebnet  []difference
}

// difference is what clients see with ebnet in the place of Docker's iptables, where
// that is not the same, and why that is wanted.
type difference struct {
	why string
	see views
}

// Reasons for differences.
const (
	realClient = "Docker's proxy asks in the name of a container on its own bridge or another; with ebnet the server sees who asks"
	udpAnswers = "Docker's proxy answers UDP from another address than was asked; with ebnet the answer arrives"
	shortWay   = "the host asks a container directly, by published ports too, so it does so from the address next to it"
	portsOnly  = "from outside, containers are reached by published ports and not by their own addresses"
	noProxy    = "no published port depends on dockerd's being there"
	innerOnly  = "who is on an internal network alone reaches nothing of the host's"
)

// plain is what clients see with a version of Docker and its own iptables.
func (sc scenario) plain(version lab.DockerVersion) views {
	want := maps.Clone(sc.want)
	if version == lab.Docker26 {
		maps.Copy(want, sc.want26)
	}
	return want
}

// withEbnet is what clients see with ebnet.
func (sc scenario) withEbnet(version lab.DockerVersion) views {
	for _, difference := range sc.ebnet {
		want := maps.Clone(sc.want)
		maps.Copy(want, difference.see)
		sc.want = want
	}
	return sc.plain(version)
}

// newStage makes a host with two addresses and Docker, and a client that answers
// whoever asks it.
func newStage(t *testing.T, version lab.DockerVersion, options lab.DockerOptions) *stage {
	t.Helper()
	s := &stage{site: newSite(t), t: t}
	s.host.IP("addr", "add", otherIP+"/24", "dev", "eth0")
	// The client knows the way to the containers' own addresses, if the host lets it.
	for _, net := range []string{"172.16.0.0/12", "10.9.0.0/24"} {
		s.client.Route(net, netip.MustParseAddr(hostIP))
	}
	s.client.AnswerTCP("client", ":7000")
	s.client.AnswerUDP("client", ":7000")
	s.docker = s.host.Docker(version, options)
	return s
}

// play plays one scenario from a clean stage, and compares what the clients see.
func (s *stage) play(t *testing.T, sc scenario, want views) {
	s.t, s.want, s.got = t, want, views{}
	s.actors = map[string]*lab.Machine{"client": s.client, "host": s.host}
	s.names = map[netip.Addr]string{
		netip.MustParseAddr(clientIP):    "client",
		netip.MustParseAddr(hostIP):      "host",
		netip.MustParseAddr(otherIP):     "otherhost",
		netip.MustParseAddr("127.0.0.1"): "localhost",
		// Docker 20.10 does not tell it of a new docker0.
		netip.MustParseAddr("172.17.0.1"): "gateway of bridge",
	}
	defer s.clear()
	sc.play(s)
	s.settle()
	for _, what := range slices.Sorted(maps.Keys(s.got)) {
		if expected, ok := want[what]; !ok {
			t.Errorf("nothing is said of %q: %q", what, s.got[what])
		} else if s.got[what] != expected {
			t.Errorf("%q: %q, want %q", what, s.got[what], expected)
		}
	}
	for what := range want {
		if _, ok := s.got[what]; !ok {
			t.Errorf("not played: %q", what)
		}
	}
}

// clear removes the containers and networks of a scenario.
func (s *stage) clear() {
	if ids := strings.Fields(s.docker.Run("ps", "--all", "--quiet")); len(ids) > 0 {
		s.docker.Run(append([]string{"rm", "--force"}, ids...)...)
	}
	s.docker.Run("network", "prune", "--force")
}

// network creates a network and learns the name of its gateway. Flags are separated by
// blanks, as in all that follows.
func (s *stage) network(name, flags string) {
	s.settle()
	s.docker.Run(slices.Concat([]string{"network", "create"}, strings.Fields(flags), []string{name})...)
	s.meet(name)
}

// meet learns the name of a network's gateway.
func (s *stage) meet(network string) {
	config := strings.Fields(s.docker.Run("network", "inspect", "--format",
		"{{with index .IPAM.Config 0}}{{.Subnet}} {{.Gateway}}{{end}}", network))
	// Docker 20.10 does not tell it of a network with a subnet of the user's.
	gateway := netip.MustParsePrefix(config[0]).Addr().Next()
	if len(config) > 1 {
		gateway = netip.MustParseAddr(config[1])
	}
	s.names[gateway] = "gateway of " + network
}

// run runs a container that answers on port 7000, or on those that are given.
func (s *stage) run(name, flags string, ports ...string) *lab.Container {
	s.settle()
	if len(ports) == 0 {
		ports = []string{":7000"}
	}
	s.docker.Run(slices.Concat([]string{"run", "--detach", "--name", name}, strings.Fields(flags),
		[]string{lab.DockerImage, "traffic", "tell", name}, ports)...)
	return s.enter(name, ports[0])
}

// caughtUp waits until the agent has heard of all that a dockerd has done which has just
// started. Who asks before that can be cut off once, and is told to ask again.
func (s *stage) caughtUp() {
	if s.agent != nil {
		s.samePorts()
	}
}

// enter makes a running container an actor as soon as its server answers. It does so by
// the container's loopback, which no datapath has a part in.
func (s *stage) enter(name, port string) *lab.Container {
	s.settle()
	var c *lab.Container
	lab.Eventually(s.t, wait, func() error {
		c = s.docker.Container(name)
		_, err := c.AskSoon("tcp", "127.0.0.1"+port)
		return err
	})
	s.actors[name] = c.Machine
	maps.DeleteFunc(s.names, func(_ netip.Addr, of string) bool { return of == name || strings.HasPrefix(of, name+" on ") })
	for network, addr := range c.On {
		s.names[addr] = name
		if len(c.On) > 1 {
			s.names[addr] = name + " on " + network
		}
	}
	return c
}
