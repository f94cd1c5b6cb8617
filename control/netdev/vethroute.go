package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ensureRoutes gives the sandbox the routes that this attachment has, and takes back
// those by it that it has no more.
func (v Veth) ensureRoutes(h *netlink.Handle, peer int) error {
	for _, family := range v.families() {
		have, err := listRoutes(h, family)
		if err != nil {
			return err
		}
		want := v.routes(family, peer)
		if err := addRoutes(h, have, want); err != nil {
			return err
		}
		unwanted := func(r netlink.Route) bool {
			return r.LinkIndex == peer && !slices.ContainsFunc(want, func(w netlink.Route) bool { return keyOf(w) == keyOf(r) })
		}
		if err := deleteRoutes(h, have, unwanted); err != nil {
			return err
		}
	}
	return nil
}

// families are those whose routes and rules an attachment has.
func (v Veth) families() []int {
	if slices.ContainsFunc(v.Addrs, is6) {
		return []int{netlink.FAMILY_V4, netlink.FAMILY_V6}
	}
	return []int{netlink.FAMILY_V4}
}

// routes are the attachment's routes of a family as they should be.
func (v Veth) routes(family, peer int) (routes []netlink.Route) {
	add := func(r netlink.Route) {
		r.Family, r.LinkIndex, r.Protocol = family, peer, ownProtocol
		routes = append(routes, r)
	}
	for _, p := range v.Addrs {
		if familyOf(p.Addr()) == family && v.Table != 0 && !p.IsSingleIP() {
			add(netlink.Route{Table: v.Table, Dst: toIPNet(p.Masked()), Src: p.Addr().AsSlice(), Scope: netlink.SCOPE_LINK})
		}
	}
	for _, gw := range v.Gateways {
		if familyOf(gw) != family {
			continue
		}
		toAll := toIPNet(netip.PrefixFrom(gw, 0).Masked())
		if v.Table != 0 {
			add(netlink.Route{Table: v.Table, Dst: toAll, Gw: gw.AsSlice()})
		}
		if v.Default4 && family == netlink.FAMILY_V4 || v.Default6 && family == netlink.FAMILY_V6 {
			add(netlink.Route{Table: unix.RT_TABLE_MAIN, Dst: toAll, Gw: gw.AsSlice()})
		}
	}
	return routes
}

// addRoutes adds what is missing and replaces, in one step, what of ours differs. In
// the place of somebody else's route nothing is done.
func addRoutes(h *netlink.Handle, have, want []netlink.Route) error {
	first := make(map[routeKey]netlink.Route)
	for _, r := range slices.Backward(have) {
		first[keyOf(r)] = r // of several the first counts
	}
	for _, w := range want {
		var err error
		r, taken := first[keyOf(w)]
		switch {
		case !taken:
			err = h.RouteAdd(&w)
		case r.Protocol == ownProtocol && !isSameWay(r, w):
			err = h.RouteReplace(&w)
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add %s: %w", describe(w), err)
		}
	}
	return nil
}
