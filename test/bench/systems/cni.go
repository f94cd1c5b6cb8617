package systems

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/ebnet/ebnet/test/lab"
)

// cniDirs are where distributions put the reference plugins.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// CNI is the reference plugins bridge and portmap, as Kubernetes and nerdctl use them.
type CNI struct {
	netfilter
	dir     string // of the plugins
	version string
	addrs   []netip.Addr
}

func (*CNI) Name() string { return CNIName }

func (s *CNI) About() string {
	return strings.TrimSpace("CNI plugins bridge and portmap with iptables " + s.version)
}

func (s *CNI) Available() error {
	for _, dir := range cniDirs {
		if _, err := os.Stat(filepath.Join(dir, "portmap")); err == nil {
			s.dir = dir
			return Needs("iptables")
		}
	}
	return fmt.Errorf("no CNI plugins in %s (Debian: apt-get install containernetworking-plugins)", strings.Join(cniDirs, ", "))
}

func (s *CNI) SetUp(l *lab.Lab, t Cleaner) {
	s.netfilter = netfilter{newSite(l)}
	s.version = s.host.Run("sh", "-c", filepath.Join(s.dir, "portmap")+" 2>&1; iptables --version")
	s.version = "(" + strings.Join(strings.FieldsFunc(s.version, func(r rune) bool { return r == '\n' }), ", ") + ")"
	for i, name := range []string{"web", "a", "b"} {
		m := l.Machine(name)
		s.containers = append(s.containers, m)
		result := s.add(l, t, m, "bridge", map[string]any{
			"bridge": "cni0", "isGateway": true, "ipMasq": true,
			"ipam": map[string]any{
				"type": "host-local", "subnet": subnet, "dataDir": filepath.Join(l.Dir(), "cni"),
				"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
			},
		})
		s.addrs = append(s.addrs, addressIn(t, result))
		if i == 0 {
			s.add(l, t, m, "portmap", map[string]any{
				"snat": true, "prevResult": json.RawMessage(result),
				"runtimeConfig": map[string]any{"portMappings": []map[string]any{
					{"hostPort": Port, "containerPort": Port, "protocol": "tcp"},
					{"hostPort": Port, "containerPort": Port, "protocol": "udp"},
					{"hostPort": Iperf, "containerPort": Iperf, "protocol": "tcp"},
				}},
			})
		}
	}
}

// add runs a plugin as a runtime would, and returns what it prints.
func (s *CNI) add(l *lab.Lab, t Cleaner, m *lab.Machine, plugin string, config map[string]any) string {
	t.Helper()
	config["cniVersion"], config["name"], config["type"] = "0.4.0", "bench", plugin
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatalf("write CNI config: %v", err)
	}
	file := l.File("cni-"+plugin+"-"+m.Name+".json", string(text))
	return s.host.Run("env", "CNI_COMMAND=ADD", "CNI_CONTAINERID="+m.Name, "CNI_NETNS="+m.Path, "CNI_IFNAME=eth0",
		"CNI_PATH="+s.dir, "sh", "-c", `exec "$0" < "$1"`, filepath.Join(s.dir, plugin), file)
}

// addressIn reads the address out of a plugin's result.
func addressIn(t Cleaner, result string) netip.Addr {
	t.Helper()
	var r struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	if err := json.Unmarshal([]byte(result), &r); err != nil || len(r.IPs) == 0 {
		t.Fatalf("read CNI result: %v in %s", err, result)
	}
	return r.IPs[0].Address.Addr()
}

func (s *CNI) Route(d Direction) (Route, bool) {
	if d == Localhost {
		return s.local(), true
	}
	return s.published(d, s.addrs)
}
