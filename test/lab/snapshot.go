package lab

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Snapshot is the state of a machine as far as a network program can change it:
// lines of text by subject.
type Snapshot map[string]string

// Snapshot writes down the machine's links, addresses, routes, filters, sysctls,
// processes and the namespaces and pins of its test.
func (m *Machine) Snapshot() Snapshot {
	m.lab.t.Helper()
	s := Snapshot{
		"links":      m.IP("-o", "-d", "link"),
		"addresses":  m.IP("-o", "addr"),
		"routes":     m.IP("route", "show", "table", "all"),
		"routes6":    m.IP("-6", "route", "show", "table", "all"),
		"rules":      m.IP("rule") + m.IP("-6", "rule"),
		"qdiscs":     m.Run("tc", "qdisc"),
		"nftables":   m.Run("nft", "list", "ruleset"),
		"namespaces": strings.Join(m.lab.namespaces(), "\n"),
		"processes":  fmt.Sprint(processesIn(m.Path)),
	}
	folders, _ := filepath.Glob("/etc/netns/" + m.lab.prefix + "*")
	s["folders of namespaces"] = strings.Join(folders, "\n")
	for _, a := range m.lab.agents {
		s["pins"] += strings.Join(filesBelow(filepath.Dir(a.Pins())), "\n")
	}
	m.Do(func() error {
		s["tcx"] = m.tcx()
		return s.addSysctls("/proc/sys/net")
	})
	return s
}

// Settle waits until the machine's addresses do not change by themselves any more.
func (m *Machine) Settle() {
	m.lab.t.Helper()
	Eventually(m.lab.t, patience, func() error {
		if waiting := m.IP("-6", "addr", "show", "tentative"); waiting != "" {
			return fmt.Errorf("addresses are tentative:\n%s", waiting)
		}
		return nil
	})
}

// tcx lists the programs on the hooks of the thread's namespace.
func (m *Machine) tcx() string {
	var b strings.Builder
	devices, err := net.Interfaces()
	if err != nil {
		return err.Error()
	}
	for _, dev := range devices {
		for _, hook := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
			res, err := link.QueryPrograms(link.QueryOptions{Target: dev.Index, Attach: hook})
			if err == nil && len(res.Programs) > 0 {
				fmt.Fprintf(&b, "%s %v: %v\n", dev.Name, hook, res.Programs)
			}
		}
	}
	return b.String()
}

// addSysctls reads all sysctls in a folder, as the calling thread sees them.
func (s Snapshot) addSysctls(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		// Some are write-only, some count what happens.
		if value, err := os.ReadFile(path); err == nil && !strings.HasSuffix(path, "_count") {
			s[path] = string(value)
		}
		return nil
	})
}

// Diff lists what is different in other, a later snapshot.
func (s Snapshot) Diff(other Snapshot) []string {
	var diffs []string
	all := map[string]bool{}
	for subject := range s {
		all[subject] = true
	}
	for subject := range other {
		all[subject] = true
	}
	for _, subject := range slices.Sorted(maps.Keys(all)) {
		if s[subject] != other[subject] {
			diffs = append(diffs, fmt.Sprintf("%s was\n%s\nand is now\n%s", subject, s[subject], other[subject]))
		}
	}
	return diffs
}
