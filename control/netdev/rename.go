package netdev

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// RenameLink gives the device with an ifindex another name. What it carries goes on:
// its addresses, its bridge and its programs stay. ErrNotFound if there is no such
// device, ErrExists if another one has the name.
func RenameLink(index int, name string) error {
	h, err := newHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByIndex(index)
	if err != nil {
		return fmt.Errorf("rename link %d to %s: %w", index, name, sentinel(err))
	}
	return renameLink(h, link, name)
}

// renameLink is RenameLink in the handle's namespace.
func renameLink(h *netlink.Handle, link netlink.Link, name string) error {
	err := h.LinkSetName(link, name)
	if errors.Is(err, unix.EBUSY) {
		err = renameDown(h, link, name)
	}
	if err != nil {
		return fmt.Errorf("rename link %s to %s: %w", link.Attrs().Name, name, sentinel(err))
	}
	link.Attrs().Name = name
	return nil
}

// renameDown renames a device that is up where the kernel does so only while it is
// down, which is before Linux 6.2. Its routes are lost.
func renameDown(h *netlink.Handle, link netlink.Link, name string) error {
	if err := h.LinkSetDown(link); err != nil {
		return err
	}
	return errors.Join(h.LinkSetName(link, name), h.LinkSetUp(link))
}

// ensureMAC sets the address if the link has another, and says whether it had. Nil is
// any.
func ensureMAC(h *netlink.Handle, link netlink.Link, mac net.HardwareAddr) (changed bool, err error) {
	if mac == nil || link.Attrs().HardwareAddr.String() == mac.String() {
		return false, nil
	}
	if err := h.LinkSetHardwareAddr(link, mac); err != nil {
		return false, fmt.Errorf("set MAC address of %s to %s: %w", link.Attrs().Name, mac, err)
	}
	link.Attrs().HardwareAddr = mac
	return true, nil
}

// findPeer finds the sandbox's side of a veth by that it is the other end of the
// host's, and gives it its name where somebody has given it another.
func (v Veth) findPeer(h *netlink.Handle, host netlink.Link) (renamed bool, err error) {
	peer, err := h.LinkByIndex(host.Attrs().ParentIndex)
	if err != nil {
		return false, fmt.Errorf("look up the other end of %s: %w", v.Host, sentinel(err))
	}
	a := peer.Attrs()
	isLocal := int32(a.NetNsID) < 0 // a pair within the sandbox; the library takes it for unsigned
	if peer.Type() != "veth" || a.ParentIndex != host.Attrs().Index || isLocal {
		return false, fmt.Errorf("look up the other end of %s: %s is another device: %w", v.Host, a.Name, ErrNotFound)
	}
	if a.Name == v.Peer {
		return false, nil
	}
	return true, renameLink(h, peer, v.Peer)
}
