package systems

import (
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// packages are the names of Debian's packages, by the programs that are needed of them.
var packages = map[string]string{
	"containerd":      "containerd",
	"iperf3":          "iperf3",
	"iptables":        "iptables",
	"iptables-legacy": "iptables",
	"iptables-nft":    "iptables",
	"nft":             "nftables",
	"podman":          "podman",
	"runc":            "runc",
}

// Packages are all Debian packages that systems, and the benchmark itself, need.
func Packages() []string {
	all := []string{"containernetworking-plugins", "docker.io", "iproute2", "netavark"}
	all = slices.AppendSeq(all, maps.Values(packages))
	slices.Sort(all)
	return slices.Compact(all)
}

// Needs says which programs are missing, and which packages have them.
func Needs(programs ...string) error {
	var missing, install []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		missing = append(missing, p)
		if name := packages[p]; !slices.Contains(install, name) {
			install = append(install, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("not installed: %s (Debian: apt-get install %s)", strings.Join(missing, ", "), strings.Join(install, " "))
}

// versionOf is the first line that a command prints.
func versionOf(command ...string) string {
	out, _ := exec.Command(command[0], command[1:]...).Output()
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}
