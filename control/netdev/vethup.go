package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// carrierWait is how long Up waits for the kernel to make a port forward that has
// a carrier. It does so at once where it is asked for the link since Linux 6.8, and
// by itself soon after before that.
const carrierWait = 2 * time.Second

// Up sets both ends up and configures the sandbox: the host side becomes a port of
// the bridge, the sandbox gets its lo, name and MAC of its side, addresses, routes and
// rules, both get the MTU.
// If anything was missing it then announces the addresses, so that neighbours
// learn a new MAC. It repairs what is missing, takes back what the attachment has no
// more, and leaves alone what others set. ErrNotFound if one of the two ends, the
// bridge or the namespace is gone, ErrBridgeFull if the bridge takes no more ports.
func (v Veth) Up() error {
	if err := v.up(); err != nil {
		return fmt.Errorf("set veth %s up: %w", v.Host, err)
	}
	return nil
}

func (v Veth) up() error {
	host, err := newHandle()
	if err != nil {
		return err
	}
	defer host.Close()
	link, changed, err := v.upHost(host)
	if err != nil {
		return err
	}

	inside, renamed, err := v.enter(link)
	if err != nil {
		return err
	}
	defer inside.Close()
	peer, repaired, err := v.upPeer(inside)
	if err != nil {
		return fmt.Errorf("in %s: %w", v.Netns, err)
	}

	if !changed && !renamed && !repaired {
		return nil
	}
	// Before that the bridge drops what comes from the sandbox, and IPv6 is not ready.
	if err := awaitCarrier(host, link.Attrs().Index); err != nil {
		return err
	}
	if err := awaitCarrier(inside, peer.Attrs().Index); err != nil {
		return fmt.Errorf("in %s: %w", v.Netns, err)
	}
	return announce(inside, peer)
}

// upHost makes the host side a port of the bridge and sets it up. It comes before
// the sandbox's side, whose carrier is then there when it is set up.
func (v Veth) upHost(h *netlink.Handle) (link netlink.Link, changed bool, err error) {
	if link, err = linkByName(h, v.Host); err != nil {
		return nil, false, err
	}
	if err := ensureMTU(h, link, v.MTU); err != nil {
		return nil, false, err
	}
	if v.Bridge != "" {
		if changed, err = v.ensurePort(h, link); err != nil {
			return nil, false, err
		}
	}
	up, err := ensureUp(h, link)
	return link, changed || up, err
}

// enter sets the sandbox's sysctls and returns a netlink socket in there, with
// which the rest is done from any thread. The sandbox's side has its name then; enter
// says whether it had another.
func (v Veth) enter(host netlink.Link) (h *netlink.Handle, renamed bool, err error) {
	err = Do(v.Netns, func() error {
		if h, err = newHandle(); err != nil {
			return err
		}
		if renamed, err = v.findPeer(h, host); err != nil {
			return fmt.Errorf("in %s: %w", v.Netns, err)
		}
		// Neighbours on the bridge must not configure a sandbox by router advertisements.
		if err := ensureSysctl(devSysctl("ipv6", v.Peer, "accept_ra"), "0"); err != nil {
			return err
		}
		if err := v.enableIPv6(); err != nil {
			return err
		}
		// The kernel announces addresses when the device comes up or its MAC is set.
		if err := ensureSysctl(devSysctl("ipv6", v.Peer, "ndisc_notify"), "1"); err != nil {
			return err
		}
		return ensureSysctl(devSysctl("ipv4", v.Peer, "arp_notify"), "1")
	})
	if err != nil && h != nil {
		h.Close()
	}
	return h, renamed, err
}

// upPeer configures the sandbox's side and says whether anything was missing.
func (v Veth) upPeer(h *netlink.Handle) (peer netlink.Link, changed bool, err error) {
	lo, err := linkByName(h, "lo")
	if err != nil {
		return nil, false, err
	}
	if _, err := ensureUp(h, lo); err != nil {
		return nil, false, err
	}
	if peer, err = linkByName(h, v.Peer); err != nil {
		return nil, false, err
	}
	if !isUp(peer) {
		if err := v.quietIPv6(h, peer); err != nil {
			return nil, false, err
		}
	}
	if err := ensureMTU(h, peer, v.MTU); err != nil {
		return nil, false, err
	}
	moved, err := ensureMAC(h, peer, v.PeerMAC)
	if err != nil {
		return nil, false, err
	}
	added, err := ensureAddrs(h, peer, v.Addrs)
	if err != nil {
		return nil, false, err
	}
	up, err := ensureUp(h, peer)
	if err != nil {
		return nil, false, err
	}
	if err := v.ensureRoutes(h, peer.Attrs().Index); err != nil {
		return nil, false, err
	}
	if err := v.ensureRules(h); err != nil {
		return nil, false, err
	}
	return peer, len(added) > 0 || up || moved, nil
}

// enableIPv6 sees to it that a device that has IPv6 addresses may have them: it comes with
// what new devices have in a namespace (net.ipv6.conf.default), which can be none.
func (v Veth) enableIPv6() error {
	if !slices.ContainsFunc(v.Addrs, is6) {
		return nil
	}
	return ensureSysctl(devSysctl("ipv6", v.Peer, "disable_ipv6"), "0")
}

// quietIPv6 keeps a device without IPv6 addresses from making itself one: each of a
// thousand sandboxes would tell all others of it, several times.
func (v Veth) quietIPv6(h *netlink.Handle, peer netlink.Link) error {
	if slices.ContainsFunc(v.Addrs, is6) {
		return nil
	}
	err := h.LinkSetIP6AddrGenMode(peer, nl.IN6_ADDR_GEN_MODE_NONE)
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) { // no IPv6 on this host
		return fmt.Errorf("set IPv6 address generation off: %w", err)
	}
	return nil
}

func is6(p netip.Prefix) bool { return p.Addr().Is6() }

// awaitCarrier returns when the kernel has seen the link's carrier, and so made a
// bridge's port of it forward.
func awaitCarrier(h *netlink.Handle, index int) error {
	deadline := time.Now().Add(carrierWait)
	for pause := time.Millisecond; ; pause *= 2 {
		link, err := h.LinkByIndex(index)
		if err != nil {
			return fmt.Errorf("read link state: %w", sentinel(err))
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no carrier after %s: link is %s", carrierWait, link.Attrs().OperState)
		}
		time.Sleep(pause)
	}
}

// announce makes the kernel send a gratuitous ARP or an unsolicited neighbour
// advertisement (RFC 4861) for each address of the device, as it does when the MAC is
// set, also to what it is. A packet socket would do it,
// too, but closing one takes an RCU grace period.
func announce(h *netlink.Handle, peer netlink.Link) error {
	if err := h.LinkSetHardwareAddr(peer, peer.Attrs().HardwareAddr); err != nil {
		return fmt.Errorf("announce %s: %w", peer.Attrs().Name, err)
	}
	return nil
}
