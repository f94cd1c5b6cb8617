package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ownProtocol marks the routes and rules that Up makes, so that they can be told
// from others' and taken back. `ip` shows it as "proto 235".
const ownProtocol = 0xeb

// metric6 is what the kernel makes of an IPv6 route's metric 0.
const metric6 = 1024

// routeKey is by what the kernel tells one route from another.
type routeKey struct {
	table, metric, tos int
	dst                netip.Prefix
}

func keyOf(r netlink.Route) routeKey {
	key := routeKey{table: r.Table, metric: r.Priority, tos: r.Tos}
	if p, ok := toPrefix(r.Dst); ok {
		key.dst = p
	}
	if r.Family == netlink.FAMILY_V6 && key.metric == 0 {
		key.metric = metric6
	}
	return key
}

// isSameWay says whether two routes lead to the same place.
func isSameWay(a, b netlink.Route) bool {
	return a.LinkIndex == b.LinkIndex && a.Gw.Equal(b.Gw) && a.Src.Equal(b.Src) &&
		len(a.MultiPath) == 0 && len(b.MultiPath) == 0
}

// deleteRoutes deletes those of ours that are chosen.
func deleteRoutes(h *netlink.Handle, have []netlink.Route, chosen func(netlink.Route) bool) error {
	for _, r := range have {
		if r.Protocol != ownProtocol || !chosen(r) {
			continue
		}
		r.Flags = 0 // they tell of the state of its link
		if err := h.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete %s: %w", describe(r), err)
		}
	}
	return nil
}

// describe names a route in an error.
func describe(r netlink.Route) string {
	if r.Gw == nil {
		return fmt.Sprintf("route to %s in table %d", r.Dst, r.Table)
	}
	return fmt.Sprintf("route to %s via %s in table %d", r.Dst, r.Gw, r.Table)
}

func familyOf(a netip.Addr) int {
	if a.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// listRules lists a family's rules of ours.
func listRules(h *netlink.Handle, family int) ([]netlink.Rule, error) {
	rules, err := dump(func() ([]netlink.Rule, error) { return h.RuleList(family) })
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return slices.DeleteFunc(rules, func(r netlink.Rule) bool { return r.Protocol != ownProtocol }), nil
}
