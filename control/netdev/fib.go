package netdev

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// FIBLink is the device by which BPF programs ask for routes and have the kernel
// forward.
type FIBLink struct {
	Index int
	MAC   [6]byte
}

// fibAddr is that of a device without an address of its own (RFC 7600). Without any the
// kernel believes no source of what comes in, where rp_filter is on.
var fibAddr = netip.MustParsePrefix("192.0.0.8/32")

// EnsureFIBLink makes a private veth pair, name and name+"p", whose wire carries nothing.
// A BPF program can ask for routes as if a packet came in through it, and have one come
// in through it: it forwards by its own setting, whatever the host's is. ErrExists if a
// link of another kind has the name.
func EnsureFIBLink(name string) (FIBLink, error) {
	h, err := newHandle()
	if err != nil {
		return FIBLink{}, err
	}
	defer h.Close()

	link, err := linkByName(h, name)
	if errors.Is(err, ErrNotFound) {
		if err = createFIBLink(h, name); err == nil {
			link, err = linkByName(h, name)
		}
	}
	if err != nil {
		return FIBLink{}, fmt.Errorf("ensure link %s: %w", name, err)
	}
	if link.Type() != "veth" {
		return FIBLink{}, fmt.Errorf("ensure link %s: a link of kind %s: %w", name, link.Type(), ErrExists)
	}
	if err := configureFIBLink(h, link); err != nil {
		return FIBLink{}, fmt.Errorf("ensure link %s: %w", name, err)
	}
	out := FIBLink{Index: link.Attrs().Index}
	copy(out.MAC[:], link.Attrs().HardwareAddr)
	return out, nil
}

func createFIBLink(h *netlink.Handle, name string) error {
	v := Veth{Host: name, Peer: name + "p"}
	if err := h.LinkAdd(v.link()); err != nil {
		return fmt.Errorf("create: %w", sentinel(err))
	}
	return nil
}

// fibSysctls are those of the device. Loose rp_filter holds whatever all devices' is, since
// the kernel takes the larger of the two. IPv6 forwards by a device's own setting since
// 6.17; before that a kernel answers for nobody while its own forwarding is off.
var fibSysctls = []struct{ family, key, value string }{
	{"ipv4", "forwarding", "1"},
	{"ipv4", "rp_filter", "2"},
	{"ipv6", "forwarding", "1"},
	{"ipv6", "force_forwarding", "1"},
}

// configureFIBLink sets both ends up, with no address beside fibAddr, not even a
// link-local one.
func configureFIBLink(h *netlink.Handle, link netlink.Link) error {
	name := link.Attrs().Name
	peer, err := linkByName(h, name+"p")
	if err != nil {
		return err
	}
	if err := ensureSysctl(devSysctl("ipv6", name+"p", "disable_ipv6"), "1"); err != nil {
		return err
	}
	if !isUp(link) {
		err := h.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) { // no IPv6 on this host
			return fmt.Errorf("set IPv6 address generation off: %w", err)
		}
	}
	for _, s := range fibSysctls {
		if err := ensureSysctl(devSysctl(s.family, name, s.key), s.value); err != nil {
			return err
		}
	}
	if err := ensureHostAddr(h, link, fibAddr); err != nil {
		return err
	}
	if _, err := ensureUp(h, peer); err != nil {
		return err
	}
	_, err = ensureUp(h, link)
	return err
}

// ensureHostAddr gives a device an address that no packet is sent from.
func ensureHostAddr(h *netlink.Handle, link netlink.Link, addr netip.Prefix) error {
	have, err := h.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range have {
		if a.IPNet != nil && a.IPNet.String() == addr.String() {
			return nil
		}
	}
	add := &netlink.Addr{IPNet: toIPNet(addr), Scope: unix.RT_SCOPE_HOST}
	if err := h.AddrAdd(link, add); err != nil {
		return fmt.Errorf("add %s: %w", addr, err)
	}
	return nil
}
