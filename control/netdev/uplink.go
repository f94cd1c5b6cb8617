package netdev

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/vishvananda/netlink"
)

// engineLinks are the names that container engines give to their bridges and to
// the host sides of their veths.
const engineLinks = `^(docker[0-9]+|docker_gwbridge|br-[0-9a-f]{12}|cni.*|podman.*|nerdctl.*|veth[0-9a-f]{7,8})$`

// FindUplinks picks the links through which the outside is reached: those with a
// global address that are neither loopback nor own nor a bridge or veth of an
// engine. A link that is down counts: it may come up. Engines' bridges are those
// with names that engines choose by themselves, and the named ones, whatever else
// is a port of them.
func FindUplinks(links []LinkInfo, own func(name string) bool, engineBridges ...string) []LinkInfo {
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
			return engine.MatchString(l.Name) || slices.Contains(engineBridges, l.Name)
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

// DefaultUplink is the one of the links by which the main table's default route
// leads, the one with the lowest metric of several, IPv4 before IPv6. Not ok if no
// default route leads by any of them.
func DefaultUplink(links []LinkInfo) (ifindex int, ok bool, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		if ifindex, ok, err = DefaultWay(links, family); ok || err != nil {
			return ifindex, ok, err
		}
	}
	return 0, false, nil
}

// DefaultWay is DefaultUplink for one family, unix.AF_INET or AF_INET6.
func DefaultWay(links []LinkInfo, family int) (ifindex int, ok bool, err error) {
	h, err := newHandle()
	if err != nil {
		return 0, false, err
	}
	defer h.Close()
	routes, err := dump(func() ([]netlink.Route, error) { return h.RouteList(nil, family) })
	if err != nil {
		return 0, false, fmt.Errorf("list routes: %w", err)
	}
	ifindex, ok = defaultBy(routes, links)
	return ifindex, ok, nil
}

// defaultBy picks the default route that counts.
func defaultBy(routes []netlink.Route, links []LinkInfo) (ifindex int, ok bool) {
	best := 0
	consider := func(metric, index int) {
		isOneOf := slices.ContainsFunc(links, func(l LinkInfo) bool { return l.Index == index })
		if isOneOf && (!ok || metric < best) {
			best, ifindex, ok = metric, index, true
		}
	}
	for _, r := range routes {
		// One with a TOS is not everybody's.
		if p, is := toPrefix(r.Dst); !is || p.Bits() != 0 || r.Tos != 0 {
			continue
		}
		consider(r.Priority, r.LinkIndex)
		for _, way := range r.MultiPath {
			consider(r.Priority, way.LinkIndex)
		}
	}
	return ifindex, ok
}

// isGlobal says whether others can reach the address beyond the link; private
// addresses count.
func isGlobal(p netip.Prefix) bool { return p.Addr().IsGlobalUnicast() }
