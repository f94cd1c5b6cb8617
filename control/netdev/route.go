package netdev

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Routes lists where the host's routes of all tables lead, both families, each
// once, in order. Default routes are left out, also those in two or more halves
// that VPNs set to override one: they say nothing of who uses an address.
func Routes() ([]netip.Prefix, error) {
	h, err := newHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	routes, err := listRoutes(h, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	return destinations(routes), nil
}

// listRoutes lists a family's routes of all tables.
func listRoutes(h *netlink.Handle, family int) ([]netlink.Route, error) {
	routes, err := dump(func() ([]netlink.Route, error) {
		// A filter for any table: without one only the main table is listed.
		return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// destinations picks the subnets that somebody uses.
func destinations(routes []netlink.Route) []netip.Prefix {
	var dsts []netip.Prefix
	for _, r := range routes {
		switch r.Type {
		case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
			continue // they come with an address
		}
		p, ok := toPrefix(r.Dst)
		if !ok || isDefault(p) {
			continue
		}
		dsts = append(dsts, p.Masked())
	}
	slices.SortFunc(dsts, netip.Prefix.Compare)
	return slices.Compact(dsts)
}

// isDefault also takes the halves 0.0.0.0/1 and 128.0.0.0/1, and 2000::/3, all of
// IPv6 that has been given out.
func isDefault(p netip.Prefix) bool {
	return p.Bits() <= 1 || (p.Addr().Is6() && p.Bits() <= 3)
}
