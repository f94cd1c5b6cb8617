package netdev

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Veth is a sandbox's attachment: a pair of devices, one on the host's bridge and
// one in the sandbox.
type Veth struct {
	Host     string           // name of the host-side device
	MTU      int              // of both ends, bytes; 0 for the kernel's choice
	HostMAC  net.HardwareAddr // nil for a random one
	Bridge   string           // empty for none
	Netns    string           // path of the sandbox's network namespace
	Peer     string           // name of the sandbox-side device, as eth0
	PeerMAC  net.HardwareAddr // nil for a random one
	Addrs    []netip.Prefix   // the sandbox's addresses
	Gateways []netip.Addr     // the network's, one a family at most; none where nothing leads out

	// Default4 and Default6 say that the sandbox's default route of that family goes by
	// the gateway of that family. One attachment of a sandbox has each; to move one, set
	// up the attachment that gets it first.
	Default4, Default6 bool
	// Table is the routing table, of the sandbox and of this attachment alone, for
	// what comes from Addrs: replies leave by the network that they came in on. 0 for
	// none, 1 to 251 or above 255 otherwise. The rules' priority is the same number.
	Table int
	// Isolated keeps the bridge from forwarding between this port and others that are
	// isolated. It says nothing without a Bridge.
	Isolated bool
}

// CreateVeth makes both ends, down, the host's not on the bridge yet: programs can
// be attached before the first packet. It returns the host side's ifindex, and
// leaves nothing behind on error. ErrExists if one of the names is taken,
// ErrNotFound if there is no such namespace.
func CreateVeth(v Veth) (ifindex int, err error) {
	ns, err := openNetns(v.Netns)
	if err != nil {
		return 0, fmt.Errorf("create veth %s: %w", v.Host, err)
	}
	defer unix.Close(ns)
	h, err := newHandle()
	if err != nil {
		return 0, fmt.Errorf("create veth %s: %w", v.Host, err)
	}
	defer h.Close()

	link := v.link()
	link.PeerNamespace = netlink.NsFd(ns)
	if err := h.LinkAdd(link); err != nil {
		return 0, fmt.Errorf("create veth %s: %w", v.Host, sentinel(err))
	}
	defer func() {
		if err != nil {
			_ = h.LinkDel(link)
		}
	}()
	// A bridge's port speaks for nobody: no address, no multicast reports. Else a
	// host that forwards IPv6 would send some into every sandbox.
	if err := ensureSysctl(devSysctl("ipv6", v.Host, "disable_ipv6"), "1"); err != nil {
		return 0, fmt.Errorf("create veth %s: %w", v.Host, err)
	}
	if link.Index == 0 { // the library looks it up and swallows the error
		return 0, fmt.Errorf("create veth %s: %w", v.Host, ErrNotFound)
	}
	return link.Index, nil
}

// link is what the kernel is asked for. One queue each: without one a device gets
// one for every CPU, 200 KB a sandbox on a large machine, and a veth that does not
// poll never uses a second.
func (v Veth) link() *netlink.Veth {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = v.Host
	attrs.MTU = v.MTU
	attrs.HardwareAddr = v.HostMAC
	attrs.NumTxQueues, attrs.NumRxQueues = 1, 1
	link := netlink.NewVeth(attrs)
	link.PeerName = v.Peer
	link.PeerHardwareAddr = v.PeerMAC
	link.PeerMTU = uint32(v.MTU)
	link.PeerNumTxQueues, link.PeerNumRxQueues = 1, 1
	return link
}
