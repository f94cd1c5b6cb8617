package lab

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Snapshot is the state of a machine as far as a network program can change it:
// lines of text by subject.
type Snapshot map[string]string

// timers of a bridge tick by themselves.
var timers = regexp.MustCompile(`\w+_timer +[0-9.]+ `)

// Snapshot writes down the machine's links, addresses, routes, filters, sysctls,
// processes and the namespaces and pins of its test.
func (m *Machine) Snapshot() Snapshot {
	m.lab.t.Helper()
	s := Snapshot{
		"links":      timers.ReplaceAllString(m.IP("-o", "-d", "link"), ""),
		"addresses":  m.IP("-o", "addr"),
		"routes":     m.IP("route", "show", "table", "all"),
		"routes6":    m.IP("-6", "route", "show", "table", "all"),
		"rules":      m.IP("rule") + m.IP("-6", "rule"),
		"qdiscs":     m.Run("tc", "qdisc"),
		"filters":    m.filters(),
		"nftables":   m.Run("nft", "list", "ruleset"),
		"namespaces": strings.Join(m.lab.namespaces(), "\n"),
		"processes":  fmt.Sprint(processesIn(m.Path)),
	}
	folders, _ := filepath.Glob("/etc/netns/" + m.lab.prefix + "*")
	s["folders of namespaces"] = strings.Join(folders, "\n")
	for _, a := range m.lab.agents {
		s["pins"] += strings.Join(filesBelow(a.Pins()), "\n")
	}
	m.Do(func() error {
		s["tcx"] = m.tcx()
		return s.addSysctls("/proc/sys/net")
	})
	return s
}

// Settle waits until the machine's links and addresses do not change by themselves any
// more: carriers are up, and the link-local addresses that come with them are there.
func (m *Machine) Settle() {
	m.lab.t.Helper()
	Eventually(m.lab.t, patience, func() error {
		links, addresses := m.IP("-o", "-d", "link", "show", "up"), m.IP("-o", "-6", "addr")
		if strings.Contains(links, "NO-CARRIER") || strings.Contains(addresses, "tentative") {
			return fmt.Errorf("links and addresses are not up:\n%s%s", links, addresses)
		}
		for line := range strings.Lines(links) {
			name, _, _ := strings.Cut(strings.Fields(line)[1], "@")
			if strings.HasPrefix(name, "eth") && !strings.Contains(addresses, ": "+strings.TrimSuffix(name, ":")+" ") {
				return fmt.Errorf("%s has no link-local address yet", name)
			}
		}
		return nil
	})
}

// filters lists tc's filters on the machine.
func (m *Machine) filters() string {
	var b strings.Builder
	for line := range strings.Lines(m.Run("tc", "qdisc", "show", "clsact")) {
		words := strings.Fields(line) // qdisc clsact ffff: dev NAME …
		for _, side := range []string{"ingress", "egress"} {
			b.WriteString(m.Run("tc", "filter", "show", "dev", words[4], side))
		}
	}
	return b.String()
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
			was, is := lines(s[subject]), lines(other[subject])
			diffs = append(diffs, fmt.Sprintf("%s\n- %s\n+ %s", subject,
				strings.Join(without(was, is), "\n- "), strings.Join(without(is, was), "\n+ ")))
		}
	}
	return diffs
}

func lines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// without lists what is in all and not in others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(line string) bool { return slices.Contains(others, line) })
}
