package systems

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/test/lab"
)

// dockerVersion is the newer of the engines that test/deps.sh brings.
const dockerVersion = lab.Docker26

// Docker is a real engine on its default bridge, with its own iptables rules.
type Docker struct {
	netfilter
	Engine *lab.Docker

	name    string
	flavour string // of iptables: nft or legacy
	proxy   bool   // with docker-proxy, which localhost goes through
	version string
	addrs   []netip.Addr
}

func (s *Docker) Name() string { return s.name }

func (s *Docker) About() string {
	about := "Docker's bridge with iptables-" + s.flavour
	if s.proxy {
		about = "Docker's userland proxy, which localhost goes through; the rest is as without"
	}
	return strings.TrimSpace(about + " " + s.version)
}

func (s *Docker) Available() error {
	return Needs("containerd", "runc", "iptables-"+s.flavour)
}

func (s *Docker) SetUp(l *lab.Lab, t Cleaner) {
	s.netfilter = netfilter{newSite(l)}
	s.Engine = s.host.Docker(dockerVersion, lab.DockerOptions{Iptables: true, Legacy: s.flavour == "legacy", Proxy: s.proxy})
	s.version = fmt.Sprintf("(Docker %s, %s)", s.Engine.Run("version", "--format", "{{.Server.Version}}"), versionOf(s.Iptables(), "--version"))
	for i, name := range []string{"web", "one", "two"} {
		flags := []string{"run", "--detach", "--name", name}
		if i == 0 {
			flags = append(flags, publishFlags()...)
		}
		s.Engine.Run(append(flags, lab.DockerImage)...)
		c := s.Engine.Container(name)
		s.containers = append(s.containers, c.Machine)
		s.addrs = append(s.addrs, c.Addr)
	}
	if n := s.proxies(t); (n > 0) != s.proxy {
		t.Fatalf("%d docker-proxy processes run", n)
	}
}

// publishFlags are those of docker run, podman run and their kind.
func publishFlags() []string {
	return []string{
		"--publish", fmt.Sprintf("%[1]d:%[1]d", Port),
		"--publish", fmt.Sprintf("%[1]d:%[1]d/udp", Port),
		"--publish", fmt.Sprintf("%[1]d:%[1]d", Iperf),
	}
}

// Iptables is the engine's iptables.
func (s *Docker) Iptables() string { return "iptables-" + s.flavour }

// proxies counts the docker-proxy processes of the host.
func (s *Docker) proxies(t Cleaner) (n int) {
	pids, err := netdev.Processes(s.host.Path)
	if err != nil {
		t.Fatalf("list processes: %v", err)
	}
	for _, pid := range pids {
		comm, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "comm"))
		if strings.TrimSpace(string(comm)) == "docker-proxy" {
			n++
		}
	}
	return n
}

// Route leaves out, with the proxy, what is the same without it.
func (s *Docker) Route(d Direction) (Route, bool) {
	if d == Localhost {
		return s.local(), true
	}
	if s.proxy {
		return Route{}, false
	}
	return s.published(d, s.addrs)
}

// LastPort is the host's port that the rules ask for last.
func (s *Docker) LastPort() (uint16, error) {
	rules := s.host.Run(s.Iptables(), "-t", "nat", "-S", "DOCKER")
	words := strings.Fields(rules[strings.LastIndex(strings.TrimSpace(rules), "\n")+1:])
	at := slices.Index(words, "--dport")
	if at < 0 {
		return 0, fmt.Errorf("no port in the last rule: %q", words)
	}
	port, err := strconv.ParseUint(words[at+1], 10, 16)
	return uint16(port), err
}
