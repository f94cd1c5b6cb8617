package netdev

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// EnsureFIBLink makes a private veth pair, name and name+"p", that carries nothing.
// A BPF program can ask for routes as if a packet came in through it: it forwards
// by its own setting, whatever the host's is. ErrExists if a link of another kind
// has the name.
func EnsureFIBLink(name string) (ifindex int, err error) {
	h, err := newHandle()
	if err != nil {
		return 0, err
	}
	defer h.Close()

	link, err := linkByName(h, name)
	if errors.Is(err, ErrNotFound) {
		if err = createFIBLink(h, name); err == nil {
			link, err = linkByName(h, name)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("ensure link %s: %w", name, err)
	}
	if link.Type() != "veth" {
		return 0, fmt.Errorf("ensure link %s: a link of kind %s: %w", name, link.Type(), ErrExists)
	}
	if err := configureFIBLink(h, link); err != nil {
		return 0, fmt.Errorf("ensure link %s: %w", name, err)
	}
	return link.Attrs().Index, nil
}

func createFIBLink(h *netlink.Handle, name string) error {
	v := Veth{Host: name, Peer: name + "p"}
	if err := h.LinkAdd(v.link()); err != nil {
		return fmt.Errorf("create: %w", sentinel(err))
	}
	return nil
}

// configureFIBLink sets both ends up, with no address, not even a link-local one.
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
	for _, family := range []string{"ipv4", "ipv6"} {
		if err := ensureSysctl(devSysctl(family, name, "forwarding"), "1"); err != nil {
			return err
		}
	}
	if _, err := ensureUp(h, peer); err != nil {
		return err
	}
	_, err = ensureUp(h, link)
	return err
}
