package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkInfo is a network device as it is now.
type LinkInfo struct {
	Index    int
	Name     string
	Kind     string // "bridge", "veth"...; "device" for what has no kind, as hardware
	Up       bool   // set up by its administrator; says nothing of the carrier
	Carrier  bool   // up, and something is there at its other end: a veth's is up, too
	MAC      net.HardwareAddr
	MTU      int // bytes
	Master   int // ifindex of the bridge or bond that it is a port of, or 0
	Addrs    []netip.Prefix
	Stats    Stats
	Ethernet bool // frames have Ethernet headers
	Loopback bool
	Isolated bool // a bridge's port that does not reach other isolated ones

	// PeerIndex is the ifindex of a veth's other end in the namespace that it is in,
	// or 0. NetnsID is the kernel's local number of that namespace, or -1 if it is
	// this one, or one that is about to end.
	PeerIndex, NetnsID int

	// Broadcasts are the addresses that mean every host of one of Addrs' subnets.
	Broadcasts []netip.Addr
}

// Stats are a device's own counters, as the host sees it: received is what came
// in through it. Bytes include the link-layer header.
type Stats struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64
}

// Link reads one device. ErrNotFound if there is none of the name.
func Link(name string) (LinkInfo, error) {
	h, err := newHandle()
	if err != nil {
		return LinkInfo{}, err
	}
	defer h.Close()
	link, err := linkByName(h, name)
	if err != nil {
		return LinkInfo{}, err
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return LinkInfo{}, fmt.Errorf("list addresses of %s: %w", name, err)
	}
	info := linkInfo(link, addrs)
	if info.Master != 0 {
		if info.Isolated, err = isIsolated(info.Index); err != nil {
			return LinkInfo{}, fmt.Errorf("read link %s: %w", name, err)
		}
	}
	return info, nil
}

// Links reads all devices, in the order of their index.
func Links() ([]LinkInfo, error) {
	h, err := newHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	links, isolated, err := dumpLinks()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	byIndex := make(map[int][]netlink.Addr)
	for _, a := range addrs {
		byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], a)
	}
	infos := make([]LinkInfo, 0, len(links))
	for _, l := range links {
		info := linkInfo(l, byIndex[l.Attrs().Index])
		info.Isolated = isolated[info.Index]
		infos = append(infos, info)
	}
	return infos, nil
}

// DeleteLink removes a device, and a veth's other end with it. It is no error if
// there is none of the name.
func DeleteLink(name string) error {
	h, err := newHandle()
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := linkByName(h, name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	// It may go by itself meanwhile, with the namespace of its other end.
	if err := h.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete link %s: %w", name, err)
	}
	return nil
}

// newHandle opens a netlink socket in the calling thread's network namespace. It
// stays in there when the thread moves on.
func newHandle() (*netlink.Handle, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return h, nil
}

// linkByName looks a link up. ErrNotFound if there is none of the name.
func linkByName(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("look up link %s: %w", name, sentinel(err))
	}
	return link, nil
}

func isUp(link netlink.Link) bool { return link.Attrs().Flags&net.FlagUp != 0 }

// linkInfo puts together what the kernel says of a link and of its addresses.
func linkInfo(link netlink.Link, addrs []netlink.Addr) LinkInfo {
	a := link.Attrs()
	info := LinkInfo{
		Index:    a.Index,
		Name:     a.Name,
		Kind:     link.Type(),
		Up:       isUp(link),
		Carrier:  a.RawFlags&unix.IFF_LOWER_UP != 0,
		MAC:      a.HardwareAddr,
		MTU:      a.MTU,
		Master:   a.MasterIndex,
		NetnsID:  int(int32(a.NetNsID)), // the library takes it for unsigned
		Ethernet: a.EncapType == "ether",
		Loopback: a.Flags&net.FlagLoopback != 0,
	}
	if info.Kind == "veth" { // others have another device beneath them there
		info.PeerIndex = a.ParentIndex
	}
	if s := a.Statistics; s != nil {
		info.Stats = Stats{RxPackets: s.RxPackets, RxBytes: s.RxBytes, TxPackets: s.TxPackets, TxBytes: s.TxBytes}
	}
	for _, addr := range addrs {
		if p, ok := toPrefix(addr.IPNet); ok {
			info.Addrs = append(info.Addrs, p)
		}
		if b, ok := netip.AddrFromSlice(addr.Broadcast); ok {
			info.Broadcasts = append(info.Broadcasts, b.Unmap())
		}
	}
	return info
}

// toPrefix keeps the address's own bits: 172.18.0.1/16 stays that.
func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if !ok || size == 0 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr.Unmap(), bits), true
}

// toIPNet is toPrefix the other way.
func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
