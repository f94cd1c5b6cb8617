package netdev

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// MaxBridgePorts is how many ports a bridge can have; the kernel's BR_MAX_PORTS
// without number 0.
const MaxBridgePorts = 1023

// BridgePorts counts the ports of the bridge with an ifindex.
func BridgePorts(links []LinkInfo, bridge int) int {
	ports := 0
	for _, l := range links {
		if bridge != 0 && l.Master == bridge {
			ports++
		}
	}
	return ports
}

// ensurePort makes the host side a port of the bridge, isolated or not, and says
// whether it was none.
func (v Veth) ensurePort(h *netlink.Handle, link netlink.Link) (changed bool, err error) {
	bridge, err := linkByName(h, v.Bridge)
	if err != nil {
		return false, err
	}
	index := link.Attrs().Index
	if link.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := h.LinkSetMasterByIndex(link, bridge.Attrs().Index); err != nil {
			return false, fmt.Errorf("add to bridge %s: %w", v.Bridge, sentinel(err))
		}
		changed = true
	}
	isolated, err := isIsolated(index)
	if err != nil {
		return false, err
	}
	if isolated != v.Isolated {
		if err := h.LinkSetIsolated(link, v.Isolated); err != nil {
			return false, fmt.Errorf("set isolation on bridge %s: %w", v.Bridge, err)
		}
	}
	return changed, nil
}

// dumpLinks reads all links and which of them are isolated ports, which the library
// does not tell, in one dump.
func dumpLinks() (links []netlink.Link, isolated map[int]bool, err error) {
	msgs, err := dump(func() ([][]byte, error) { return getLinks(0, unix.NLM_F_DUMP) })
	if err != nil {
		return nil, nil, err
	}
	isolated = make(map[int]bool)
	for _, m := range msgs {
		link, err := netlink.LinkDeserialize(nil, m)
		if err != nil {
			return nil, nil, err
		}
		links = append(links, link)
		if link.Attrs().MasterIndex == 0 {
			continue
		}
		if isolated[link.Attrs().Index], err = parseIsolated(m); err != nil {
			return nil, nil, err
		}
	}
	return links, isolated, nil
}

// isIsolated says whether a link is an isolated port. ErrNotFound if it is gone.
func isIsolated(index int) (bool, error) {
	msgs, err := getLinks(index, 0)
	if err != nil {
		return false, fmt.Errorf("read isolation of link %d: %w", index, sentinel(err))
	}
	if len(msgs) != 1 {
		return false, fmt.Errorf("read isolation of link %d: %d answers", index, len(msgs))
	}
	return parseIsolated(msgs[0])
}

// getLinks asks the kernel for what it has to say of one link, or of all.
func getLinks(index, flags int) ([][]byte, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, flags)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
}

// parseIsolated finds a bridge port's isolation in a message about a link.
func parseIsolated(m []byte) (bool, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return false, fmt.Errorf("message of %d bytes is too short", len(m))
	}
	value, err := attribute(m[unix.SizeofIfInfomsg:], unix.IFLA_LINKINFO)
	if err != nil {
		return false, err
	}
	kind, err := attribute(value, nl.IFLA_INFO_SLAVE_KIND)
	if err != nil || nl.BytesToString(kind) != "bridge" {
		return false, err
	}
	for _, inner := range []uint16{nl.IFLA_INFO_SLAVE_DATA, nl.IFLA_BRPORT_ISOLATED} {
		if value, err = attribute(value, inner); err != nil {
			return false, err
		}
	}
	return len(value) > 0 && value[0] != 0, nil
}

// attribute is the value of one of several attributes; nil if it is not there.
func attribute(list []byte, kind uint16) ([]byte, error) {
	attrs, err := nl.ParseRouteAttr(list)
	if err != nil {
		return nil, err
	}
	for _, a := range attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK == kind {
			return a.Value, nil
		}
	}
	return nil, nil
}
