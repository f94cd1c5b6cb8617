package netdev

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// HasRoutes says whether the host reaches a subnet by the device on which it has an
// address in it, and answers to that address: whether the routes are there that
// the kernel makes with the address. What a device in a VRF has is in the VRF's table.
func HasRoutes(routes []Route, device int, p netip.Prefix) bool {
	is := func(dst netip.Prefix, local bool) func(Route) bool {
		return func(r Route) bool {
			return r.Device == device && r.Dst == dst && r.Local == local && !r.Gateway.IsValid() && (local || r.Main)
		}
	}
	return slices.ContainsFunc(routes, is(netip.PrefixFrom(p.Addr(), p.Addr().BitLen()), true)) &&
		(p.IsSingleIP() || slices.ContainsFunc(routes, is(p.Masked(), false)))
}

// ensureHostRoutes adds the routes that the kernel made with the addresses of a
// link that is up, where somebody has removed them. As the kernel's they come behind
// others' of the same subnet. Taking the addresses off and on again would do it, too,
// but lose the routes that others have by them.
func ensureHostRoutes(h *netlink.Handle, link netlink.Link, addrs []netip.Prefix) error {
	if link.Attrs().MasterIndex != 0 { // in a VRF: they are in a table of that
		return nil
	}
	have, err := listRoutes(h, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	index := link.Attrs().Index
	for _, p := range addrs {
		if HasRoutes(hops(have), index, p) {
			continue
		}
		for _, r := range hostRoutes(index, p) {
			if slices.ContainsFunc(have, func(h netlink.Route) bool { return isKernels(h, r) }) {
				continue
			}
			if err := h.RouteAppend(&r); err != nil {
				return fmt.Errorf("add %s by %s: %w", describe(r), link.Attrs().Name, err)
			}
			have = append(have, r) // addresses in one subnet share it
		}
	}
	return nil
}

// hostRoutes are the routes that the kernel makes with an address.
func hostRoutes(index int, p netip.Prefix) []netlink.Route {
	if p.Addr().Is6() {
		return hostRoutes6(index, p)
	}
	add := func(kind, table int, scope netlink.Scope, dst netip.Prefix) netlink.Route {
		return netlink.Route{
			Family: netlink.FAMILY_V4, LinkIndex: index, Type: kind, Table: table, Scope: scope,
			Dst: toIPNet(dst), Src: p.Addr().AsSlice(), Protocol: unix.RTPROT_KERNEL,
		}
	}
	routes := []netlink.Route{add(unix.RTN_LOCAL, unix.RT_TABLE_LOCAL, unix.RT_SCOPE_HOST, netip.PrefixFrom(p.Addr(), 32))}
	if p.IsSingleIP() {
		return routes
	}
	routes = append(routes, add(unix.RTN_UNICAST, unix.RT_TABLE_MAIN, unix.RT_SCOPE_LINK, p.Masked()))
	if p.Bits() < 31 {
		last := p.Masked().Addr().As4()
		for bit := p.Bits(); bit < 32; bit++ {
			last[bit/8] |= 1 << (7 - bit%8)
		}
		routes = append(routes, add(unix.RTN_BROADCAST, unix.RT_TABLE_LOCAL, unix.RT_SCOPE_LINK, netip.PrefixFrom(netip.AddrFrom4(last), 32)))
	}
	return routes
}

// metricPrefix6 is the metric of the kernel's own routes to IPv6 subnets (IP6_RT_PRIO_ADDRCONF).
const metricPrefix6 = 256

// hostRoutes6 is hostRoutes for IPv6, which has no scopes, sources or broadcasts in them.
func hostRoutes6(index int, p netip.Prefix) []netlink.Route {
	routes := []netlink.Route{{
		Family: netlink.FAMILY_V6, LinkIndex: index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
		Dst: toIPNet(netip.PrefixFrom(p.Addr(), p.Addr().BitLen())), Protocol: unix.RTPROT_KERNEL,
	}}
	if p.IsSingleIP() {
		return routes
	}
	return append(routes, netlink.Route{
		Family: netlink.FAMILY_V6, LinkIndex: index, Type: unix.RTN_UNICAST, Table: unix.RT_TABLE_MAIN,
		Dst: toIPNet(p.Masked()), Protocol: unix.RTPROT_KERNEL, Priority: metricPrefix6,
	})
}

// isKernels says whether a route is there as the kernel makes it, whatever its source.
func isKernels(have, want netlink.Route) bool {
	return keyOf(have) == keyOf(want) && have.LinkIndex == want.LinkIndex && have.Type == want.Type && have.Gw == nil
}
