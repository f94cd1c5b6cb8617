package systems

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/lab"
)

// Ebnet is the real thing: an agent of the built binary, and its sandboxes.
type Ebnet struct {
	*site
	Agent *lab.Agent

	name    string
	version string
	addrs   []netip.Addr
}

func (s *Ebnet) Name() string { return s.name }

func (s *Ebnet) About() string {
	about := "ebnet " + s.version
	if s.name == EbnetAgain {
		about += ", a second host of the same: what differs is noise"
	}
	return strings.TrimSpace(about)
}

func (*Ebnet) Available() error { return nil }

func (s *Ebnet) SetUp(l *lab.Lab, _ Cleaner) {
	s.site = newSite(l)
	s.Agent = s.host.Agent()
	s.version = s.Agent.Status().Version
	for _, name := range s.Boxes() {
		box := s.Agent.Create(name)
		s.containers = append(s.containers, box.Machine)
		s.addrs = append(s.addrs, box.Addr)
	}
	for _, spec := range []string{
		fmt.Sprintf("%[1]d:%[1]d", Port), fmt.Sprintf("%[1]d:%[1]d/udp", Port), fmt.Sprintf("%[1]d:%[1]d", Iperf),
	} {
		s.Agent.Ebnet("publish", spec, "--to", "web")
	}
}

// Boxes are the sandboxes: what is published, and two that call each other.
func (*Ebnet) Boxes() []string { return []string{"web", "a", "b"} }

func (s *Ebnet) Route(d Direction) (Route, bool) {
	if d == Localhost {
		return s.local(), true
	}
	return s.published(d, s.addrs)
}

// Client speaks to the agent.
func (s *Ebnet) Client() *api.Client { return api.NewClient(s.Agent.Socket()) }

// paths are the labels that a direction's packets are counted under.
var paths = map[Direction]string{Published: "publish", Masquerade: "masquerade", C2C: "forward"}

// Check holds ebnet's own counters against the work. The host's own connections are led
// to the container and then carried by the kernel: for them nothing counts.
func (s *Ebnet) Check(d Direction) func(Work) error {
	path, ok := paths[d]
	if !ok {
		return func(Work) error { return nil }
	}
	packets, bytes := s.counted(path)
	return func(w Work) error {
		p, b := s.counted(path)
		if p, b = p-packets, b-bytes; p < w.Packets || b < w.Bytes {
			return fmt.Errorf("the fast path has counted %d packets and %d bytes, the work is %d and %d at least",
				p, b, w.Packets, w.Bytes)
		}
		return nil
	}
}

func (s *Ebnet) counted(path string) (packets, bytes uint64) {
	m := s.Agent.Scrape()
	label := fmt.Sprintf("path=\"%s\"", path)
	return uint64(m.Sum("ebnet_packets_total", label)), uint64(m.Sum("ebnet_bytes_total", label))
}

// HostAddrs are the host's addresses on its uplink.
func (*Ebnet) HostAddrs() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr(hostIP), netip.MustParseAddr(hostIP2)}
}

// Programs are those that the agent has attached.
func (s *Ebnet) Programs() []ebpf.ProgramID {
	var ids []ebpf.ProgramID
	for _, p := range s.Agent.Status().Programs {
		if id := ebpf.ProgramID(p.ID); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
