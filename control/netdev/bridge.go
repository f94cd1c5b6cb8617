package netdev

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Bridge is a bridge as it should be.
type Bridge struct {
	Name  string
	MTU   int              // bytes; 0 for the kernel's choice
	MAC   net.HardwareAddr // fixed, so that it does not change with the ports
	Addrs []netip.Prefix   // the host's own addresses on it; for a foreign one those to add

	// Foreign is a bridge that somebody else made and that may have another purpose:
	// it is never made, and nothing of it is changed but that it is set up and that
	// Addrs are added. Any other one is ours, whatever it looks like.
	Foreign bool
}

// EnsureBridge makes the bridge, or sees to it that the one of the name is up and
// has the addresses; one that is ours also gets its MAC, its MTU, and the routes that
// come with the addresses. Addresses that it has beyond these stay.
// ErrNotBridge if a link of another kind has the name, ErrNotFound if there is no
// foreign one.
func EnsureBridge(b Bridge) (ifindex int, created bool, err error) {
	h, err := newHandle()
	if err != nil {
		return 0, false, err
	}
	defer h.Close()

	link, err := linkByName(h, b.Name)
	if errors.Is(err, ErrNotFound) && !b.Foreign {
		created = true
		if err = b.create(); err == nil {
			link, err = linkByName(h, b.Name)
		}
	}
	if err != nil {
		return 0, false, fmt.Errorf("ensure bridge %s: %w", b.Name, err)
	}
	if created {
		defer func() {
			if err != nil {
				_ = h.LinkDel(link)
			}
		}()
	}
	if link.Type() != "bridge" {
		return 0, false, fmt.Errorf("ensure bridge %s: a link of kind %s: %w", b.Name, link.Type(), ErrNotBridge)
	}

	if err := b.configure(h, link); err != nil {
		return 0, false, fmt.Errorf("ensure bridge %s: %w", b.Name, err)
	}
	return link.Attrs().Index, created, nil
}

// create adds the bridge, down, in one request. There is no spanning tree, so that
// a port forwards as soon as it has a carrier. Multicast snooping is off: with no
// querier on the bridge it would either forget who listens or begin to ask, and a
// bridge of containers has no use for it.
func (b Bridge) create() error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(b.Name)))
	if b.MTU > 0 {
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(b.MTU))))
	}
	if b.MAC != nil {
		req.AddData(nl.NewRtAttr(unix.IFLA_ADDRESS, b.MAC))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0))
	req.AddData(info)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("create: %w", sentinel(err))
	}
	return nil
}

// configure changes what differs. The addresses that it added do not stay if there is
// an error.
func (b Bridge) configure(h *netlink.Handle, link netlink.Link) (err error) {
	if !b.Foreign {
		if err := b.takeBack(h, link); err != nil {
			return err
		}
	}
	added, err := ensureAddrs(h, link, b.Addrs)
	defer func() {
		if err != nil {
			for _, p := range added {
				_ = removeAddr(h, link, p)
			}
		}
	}()
	if err != nil {
		return err
	}
	if _, err = ensureUp(h, link); err != nil || b.Foreign {
		return err
	}
	// The kernel makes those of a new IPv6 address a moment later.
	old := slices.DeleteFunc(slices.Clone(b.Addrs), func(p netip.Prefix) bool { return slices.Contains(added, p) })
	return ensureHostRoutes(h, link, old)
}

// takeBack gives a bridge of ours the settings that others may have changed.
func (b Bridge) takeBack(h *netlink.Handle, link netlink.Link) error {
	// A container must not configure its host by router advertisements.
	for _, key := range []string{"accept_ra", "autoconf"} {
		if err := ensureSysctl(devSysctl("ipv6", b.Name, key), "0"); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(b.Addrs, is6) {
		if err := ensureSysctl(devSysctl("ipv6", b.Name, "disable_ipv6"), "0"); err != nil {
			return err
		}
	}
	if b.MAC != nil && !bytes.Equal(link.Attrs().HardwareAddr, b.MAC) {
		// Who has learned the other address is told.
		for family, key := range map[string]string{"ipv4": "arp_notify", "ipv6": "ndisc_notify"} {
			if err := ensureSysctl(devSysctl(family, b.Name, key), "1"); err != nil {
				return err
			}
		}
	}
	if _, err := ensureMAC(h, link, b.MAC); err != nil {
		return err
	}
	return ensureMTU(h, link, b.MTU)
}

// ensureUp sets the link up if it is down, and says whether it was.
func ensureUp(h *netlink.Handle, link netlink.Link) (changed bool, err error) {
	if isUp(link) {
		return false, nil
	}
	if err := h.LinkSetUp(link); err != nil {
		return false, fmt.Errorf("set %s up: %w", link.Attrs().Name, err)
	}
	return true, nil
}

// ensureMTU sets the MTU, in bytes, if the link has another. 0 is any.
func ensureMTU(h *netlink.Handle, link netlink.Link, mtu int) error {
	if mtu == 0 || link.Attrs().MTU == mtu {
		return nil
	}
	if err := h.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("set MTU of %s to %d: %w", link.Attrs().Name, mtu, err)
	}
	return nil
}
