package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RemoveRules removes what an attachment that is gone left in the sandbox at path:
// the rules that Up made for its table, and the table's routes that Up made. It is no
// error if there are none, nor if there is no such namespace.
func RemoveRules(path string, table int) error {
	return removeRules(path, func(t int) bool { return t == table })
}

// PruneRules is RemoveRules for all tables but those of the attachments that the
// sandbox still has.
func PruneRules(path string, keep ...int) error {
	return removeRules(path, func(t int) bool { return !slices.Contains(keep, t) })
}

func removeRules(path string, gone func(table int) bool) error {
	err := Do(path, func() error {
		h, err := newHandle()
		if err != nil {
			return err
		}
		defer h.Close()
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			if err := removeFamilyRules(h, family, gone); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("remove rules in %s: %w", path, err)
	}
	return nil
}

func removeFamilyRules(h *netlink.Handle, family int, gone func(table int) bool) error {
	rules, err := listRules(h, family)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if gone(r.Table) {
			if err := deleteRule(h, r); err != nil {
				return err
			}
		}
	}
	routes, err := listRoutes(h, family)
	if err != nil {
		return err
	}
	return deleteRoutes(h, routes, func(r netlink.Route) bool {
		return r.Table != unix.RT_TABLE_MAIN && gone(r.Table)
	})
}

// ensureRules makes the sandbox look up the attachment's table for what comes from
// its addresses, and takes back rules of ours that say anything else of either.
func (v Veth) ensureRules(h *netlink.Handle) error {
	for _, family := range v.families() {
		have, err := listRules(h, family)
		if err != nil {
			return err
		}
		if err := v.ensureFamilyRules(h, family, have); err != nil {
			return err
		}
	}
	return nil
}

func (v Veth) ensureFamilyRules(h *netlink.Handle, family int, have []netlink.Rule) error {
	missing := make(map[netip.Addr]bool)
	for _, p := range v.Addrs {
		if v.Table != 0 && familyOf(p.Addr()) == family {
			missing[p.Addr()] = true
		}
	}
	var stale []netlink.Rule
	for _, r := range have {
		src, _ := toPrefix(r.Src)
		isAddrs := slices.ContainsFunc(v.Addrs, func(p netip.Prefix) bool { return p.Addr() == src.Addr() })
		switch {
		case missing[src.Addr()] && src.IsSingleIP() && r.Table == v.Table && r.Priority == v.Table:
			delete(missing, src.Addr())
		case isAddrs, v.Table != 0 && r.Table == v.Table:
			stale = append(stale, r)
		}
	}
	for addr := range missing {
		if err := v.addRule(h, addr); err != nil {
			return err
		}
	}
	for _, r := range stale {
		if err := deleteRule(h, r); err != nil {
			return err
		}
	}
	return nil
}

func (v Veth) addRule(h *netlink.Handle, from netip.Addr) error {
	r := netlink.NewRule()
	r.Family, r.Src = familyOf(from), toIPNet(netip.PrefixFrom(from, from.BitLen()))
	r.Table, r.Priority, r.Protocol = v.Table, v.Table, ownProtocol
	if err := h.RuleAdd(r); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add rule from %s lookup %d: %w", from, v.Table, err)
	}
	return nil
}

func deleteRule(h *netlink.Handle, r netlink.Rule) error {
	if err := h.RuleDel(&r); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete rule from %s lookup %d: %w", r.Src, r.Table, err)
	}
	return nil
}
