package netdev

import (
	"net/netip"
	"regexp"
	"slices"
)

// engineLinks are the names that container engines give to their bridges and to
// the host sides of their veths.
const engineLinks = `^(docker[0-9]+|docker_gwbridge|br-[0-9a-f]{12}|cni.*|podman.*|nerdctl.*|veth[0-9a-f]{7,8})$`

// FindUplinks picks the links through which the outside is reached: those with a
// global address that are neither loopback nor own nor a bridge or veth of an
// engine. A link that is down counts: it may come up.
func FindUplinks(links []LinkInfo, own func(name string) bool) []LinkInfo {
	engine := regexp.MustCompile(engineLinks)
	bridges := make(map[int]bool)
	for _, l := range links {
		if l.Kind == "bridge" {
			bridges[l.Index] = true
		}
	}
	isEngines := func(l LinkInfo) bool {
		switch l.Kind {
		case "bridge":
			return engine.MatchString(l.Name)
		case "veth":
			return bridges[l.Master] || engine.MatchString(l.Name)
		}
		return false
	}

	var uplinks []LinkInfo
	for _, l := range links {
		if l.Loopback || l.Name == "lo" || own(l.Name) || isEngines(l) || !slices.ContainsFunc(l.Addrs, isGlobal) {
			continue
		}
		uplinks = append(uplinks, l)
	}
	return uplinks
}

// isGlobal says whether others can reach the address beyond the link; private
// addresses count.
func isGlobal(p netip.Prefix) bool { return p.Addr().IsGlobalUnicast() }
