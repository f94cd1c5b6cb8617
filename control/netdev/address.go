package netdev

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses are all addresses that the host has, with the name of the device of each.
func Addresses() (map[netip.Addr]string, error) {
	h, err := newHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	names := map[int]string{} // few devices have any
	devices := map[netip.Addr]string{}
	for _, a := range addrs {
		if _, known := names[a.LinkIndex]; !known {
			link, err := h.LinkByIndex(a.LinkIndex)
			if errors.Is(sentinel(err), ErrNotFound) {
				continue // gone meanwhile, and its addresses with it
			}
			if err != nil {
				return nil, fmt.Errorf("list addresses: %w", err)
			}
			names[a.LinkIndex] = link.Attrs().Name
		}
		if p, ok := toPrefix(a.IPNet); ok {
			devices[p.Addr()] = names[a.LinkIndex]
		}
	}
	return devices, nil
}

// RemoveAddr takes an address off a link. The link's other addresses stay, those in
// the same subnet, too. It is no error if the address or the link is gone.
func RemoveAddr(link string, p netip.Prefix) error {
	h, err := newHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := linkByName(h, link)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return removeAddr(h, l, p)
}

// removeAddr is RemoveAddr in the calling thread's namespace.
func removeAddr(h *netlink.Handle, link netlink.Link, p netip.Prefix) error {
	name := link.Attrs().Name
	err := promoting(name, func() error { return h.AddrDel(link, &netlink.Addr{IPNet: toIPNet(p)}) })
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove address %s from %s: %w", p, name, err)
	}
	return nil
}

// promoting calls a function while the kernel keeps the later IPv4 addresses of a
// subnet when the device's first one goes. As it comes, it removes them all.
func promoting(dev string, fn func() error) (err error) {
	key := devSysctl("ipv4", dev, "promote_secondaries")
	before, err := ReadSysctl(key)
	if errors.Is(err, fs.ErrNotExist) || before == "1" { // the device may just have gone
		return fn()
	}
	if err != nil {
		return err
	}
	if err := WriteSysctl(key, "1"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ensureSysctl(key, before)) }()
	return fn()
}

// ensureAddrs adds the addresses that are missing and returns them.
func ensureAddrs(h *netlink.Handle, link netlink.Link, addrs []netip.Prefix) (added []netip.Prefix, err error) {
	for _, p := range addrs {
		addr := &netlink.Addr{IPNet: toIPNet(p)}
		if p.Addr().Is6() {
			// Addresses are given out by us, nobody else has them: no need to ask first.
			addr.Flags = unix.IFA_F_NODAD
		}
		err := h.AddrAdd(link, addr)
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return added, fmt.Errorf("add address %s: %w", p, err)
		}
		added = append(added, p)
	}
	return added, nil
}
