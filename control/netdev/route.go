package netdev

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is one way of the host to where somebody's addresses are.
type Route struct {
	Dst     netip.Prefix
	Device  int        // ifindex; 0 where what goes there ends, as in a blackhole
	Gateway netip.Addr // invalid where it is on the device itself
	Local   bool       // addresses of the host itself
	Main    bool       // in the main table, which is looked up for everybody
}

// Routes lists the host's routes of all tables, both families, each once, by
// destination. Default routes are left out, also those in two or more halves that VPNs
// set to override one: they say nothing of who uses an address.
func Routes() ([]Route, error) {
	h, err := newHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	routes, err := listRoutes(h, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	return hops(routes), nil
}

// Destinations are where routes lead, each once, in order.
func Destinations(routes []Route) []netip.Prefix {
	var dsts []netip.Prefix
	for _, r := range routes {
		dsts = append(dsts, r.Dst)
	}
	slices.SortFunc(dsts, netip.Prefix.Compare)
	return slices.Compact(dsts)
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

// hops picks the routes to subnets that somebody uses, each of their ways by itself.
func hops(routes []netlink.Route) []Route {
	var all []Route
	for _, r := range routes {
		switch r.Type {
		case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
			continue // they come with an address
		}
		p, ok := toPrefix(r.Dst)
		if !ok || isDefault(p) {
			continue
		}
		hop := func(device int, gw net.IP) {
			via, _ := netip.AddrFromSlice(gw)
			all = append(all, Route{
				Dst: p.Masked(), Device: device, Gateway: via.Unmap(),
				Local: r.Type == unix.RTN_LOCAL, Main: r.Table == unix.RT_TABLE_MAIN,
			})
		}
		for _, way := range r.MultiPath {
			hop(way.LinkIndex, way.Gw)
		}
		if len(r.MultiPath) == 0 {
			hop(r.LinkIndex, r.Gw)
		}
	}
	slices.SortFunc(all, func(a, b Route) int {
		return cmp.Or(a.Dst.Compare(b.Dst), cmp.Compare(a.Device, b.Device), a.Gateway.Compare(b.Gateway), order(a.Local, b.Local), order(a.Main, b.Main))
	})
	return slices.Compact(all)
}

// order has false before true.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// isDefault also takes the halves 0.0.0.0/1 and 128.0.0.0/1, and 2000::/3, all of
// IPv6 that has been given out.
func isDefault(p netip.Prefix) bool {
	return p.Bits() <= 1 || (p.Addr().Is6() && p.Bits() <= 3)
}
