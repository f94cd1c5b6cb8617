package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// skipStats asks for a link without its counters, which are the most of it;
// RTEXT_FILTER_SKIP_STATS in linux/rtnetlink.h.
const skipStats = 1 << 3

// PeerOf reads the other end of a veth in another network namespace, without going
// there: all it takes is CAP_NET_ADMIN over the namespace. The answer is as Links
// would give it there, but for Stats, Isolated and Broadcasts. An end that is up has
// all the addresses that it had when it was set up.
//
// ErrNotFound if that end or its namespace is gone, or if it is in this namespace,
// as that of a pair which is still to be moved.
func PeerOf(link LinkInfo) (LinkInfo, error) {
	r, err := newPeerReader()
	if err != nil {
		return LinkInfo{}, fmt.Errorf("read peer of %s: %w", link.Name, err)
	}
	defer r.close()
	peer, err := r.peerOf(link)
	if err != nil {
		return LinkInfo{}, fmt.Errorf("read peer of %s: %w", link.Name, err)
	}
	return peer, nil
}

// PeerAddrs is PeerOf for the addresses alone. Since Linux 6.9 it does not wait for the
// kernel's lock of all devices, which namespaces that end can have for long; in return
// nobody looks whether the number is still that of the same namespace.
func PeerAddrs(link LinkInfo) ([]netip.Prefix, error) {
	r, err := newPeerReader()
	if err != nil {
		return nil, fmt.Errorf("read addresses of the peer of %s: %w", link.Name, err)
	}
	defer r.close()
	if link.PeerIndex == 0 || link.NetnsID < 0 {
		return nil, fmt.Errorf("read addresses of the peer of %s: it is in no other network namespace: %w", link.Name, ErrNotFound)
	}
	addrs, err := r.addrs(link)
	if err != nil {
		return nil, fmt.Errorf("read addresses of the peer of %s: %w", link.Name, err)
	}
	return addrs, nil
}

// peerReader is a netlink socket on which the kernel takes requests at their word:
// otherwise it ignores which link's addresses are asked for, and gives all.
type peerReader struct {
	socket *nl.NetlinkSocket
}

func newPeerReader() (r peerReader, err error) {
	r.socket, err = nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return r, fmt.Errorf("open netlink socket: %w", err)
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err := unix.SetsockoptInt(r.socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1); err != nil {
		return r, fmt.Errorf("set strict checking: %w", err)
	}
	return r, r.socket.SetReceiveTimeout(&nl.SocketTimeoutTv)
}

func (r peerReader) close() { r.socket.Close() }

func (r peerReader) peerOf(link LinkInfo) (LinkInfo, error) {
	if link.PeerIndex == 0 || link.NetnsID < 0 {
		return LinkInfo{}, fmt.Errorf("it is in no other network namespace: %w", ErrNotFound)
	}
	// The link before the addresses: who sets them first and the link up after that
	// is not seen in between.
	peer, err := r.link(link)
	if err != nil {
		return LinkInfo{}, err
	}
	if peer.Addrs, err = r.addrs(link); err != nil {
		return LinkInfo{}, err
	}
	// The number of a namespace that ended goes to the next one, at any moment.
	if _, err := r.link(link); err != nil {
		return LinkInfo{}, err
	}
	return peer, nil
}

// link reads the other end without its addresses.
func (r peerReader) link(of LinkInfo) (LinkInfo, error) {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(of.PeerIndex)
	msgs, err := r.request(
		unix.RTM_GETLINK, 0, unix.RTM_NEWLINK, msg,
		nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(of.NetnsID))),
		nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats)),
	)
	if err != nil {
		return LinkInfo{}, err
	}
	if len(msgs) != 1 {
		return LinkInfo{}, fmt.Errorf("%d answers about the link", len(msgs))
	}
	link, err := netlink.LinkDeserialize(nil, msgs[0])
	if err != nil {
		return LinkInfo{}, err
	}
	peer := linkInfo(link, nil)
	if peer.Kind != "veth" || peer.PeerIndex != of.Index {
		return LinkInfo{}, fmt.Errorf("another device has its number: %w", ErrNotFound)
	}
	return peer, nil
}

// addrs reads the other end's addresses of both families.
func (r peerReader) addrs(of LinkInfo) ([]netip.Prefix, error) {
	var addrs []netip.Prefix
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} { // both at once take the lock
		some, err := r.addrsOf(of, family)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, some...)
	}
	return addrs, nil
}

func (r peerReader) addrsOf(of LinkInfo, family int) ([]netip.Prefix, error) {
	msg := nl.NewIfAddrmsg(family)
	msg.Index = uint32(of.PeerIndex)
	msgs, err := dump(func() ([][]byte, error) {
		return r.request(
			unix.RTM_GETADDR, unix.NLM_F_DUMP, unix.RTM_NEWADDR, msg,
			nl.NewRtAttr(unix.IFA_TARGET_NETNSID, nl.Uint32Attr(uint32(of.NetnsID))),
		)
	})
	if err != nil {
		return nil, err
	}
	var addrs []netip.Prefix
	for _, m := range msgs {
		addr, ok, err := parsePeerAddr(m, of)
		if err != nil {
			return nil, err
		}
		if ok {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

// request is one exchange with the kernel, which says EINVAL if there is no
// namespace of the number.
func (r peerReader) request(kind, flags int, answer uint16, data ...nl.NetlinkRequestData) ([][]byte, error) {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Seq: req.Seq, Socket: r.socket}}
	for _, d := range data {
		req.AddData(d)
	}
	msgs, err := req.Execute(unix.NETLINK_ROUTE, answer)
	if errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return msgs, sentinel(err)
}

// parsePeerAddr reads a message about an address; not ok if it is about something
// else than the other end of the veth.
func parsePeerAddr(m []byte, of LinkInfo) (addr netip.Prefix, ok bool, err error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return addr, false, fmt.Errorf("message of %d bytes is too short", len(m))
	}
	header := nl.DeserializeIfAddrmsg(m)
	family := header.Family == unix.AF_INET || header.Family == unix.AF_INET6
	if !family || int(header.Index) != of.PeerIndex {
		return addr, false, nil
	}
	attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfAddrmsg:])
	if err != nil {
		return addr, false, err
	}
	var address, local netip.Addr // the same but for point-to-point links, IPv6 has no local then
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFA_TARGET_NETNSID:
			ok = len(a.Value) == 4 && binary.NativeEndian.Uint32(a.Value) == uint32(of.NetnsID)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(a.Value)
		}
	}
	if !local.IsValid() {
		local = address
	}
	addr = netip.PrefixFrom(local, int(header.Prefixlen))
	return addr, ok && addr.IsValid(), nil
}
