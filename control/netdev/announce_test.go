package netdev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"iter"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbours that knew the address with another MAC learn the new one at once.
func TestVethUpAnnounces(t *testing.T) {
	newHost(t)
	newBridge(t)
	neighbour := newUp(t, 2)
	var h *netlink.Handle
	var eth0 netlink.Link
	err := Do(neighbour.Netns, func() (err error) {
		if h, err = newHandle(); err == nil {
			eth0, err = linkByName(h, "eth0")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	v := newVeth(3, newSandbox(t, "web"))
	entry := netlink.Neigh{
		LinkIndex: eth0.Attrs().Index, IP: v.Addrs[0].Addr().AsSlice(),
		HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}, State: netlink.NUD_REACHABLE,
	}
	if err := h.NeighSet(&entry); err != nil {
		t.Fatal(err)
	}

	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	if err := v.Up(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "neighbour learns the MAC", func() bool {
		list, err := dump(func() ([]netlink.Neigh, error) { return h.NeighList(entry.LinkIndex, netlink.FAMILY_V4) })
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list, func(n netlink.Neigh) bool {
			return n.IP.Equal(entry.IP) && n.HardwareAddr.String() == v.PeerMAC.String()
		})
	})
}

// Sandboxes of an IPv4 network do not flood each other with IPv6 housekeeping, and
// the host's side of a link says nothing, also where the host is an IPv6 router.
// What a neighbour sees of a new sandbox is its gratuitous ARP.
func TestVethIsQuiet(t *testing.T) {
	newHost(t)
	if err := WriteSysctl("net.ipv6.conf.all.forwarding", "1"); err != nil {
		t.Fatal(err)
	}
	newBridge(t)
	// The bridge is a host like any other, and not what is looked at here.
	if err := WriteSysctl("net.ipv6.conf.br0.disable_ipv6", "1"); err != nil {
		t.Fatal(err)
	}
	neighbour := newUp(t, 2)
	frames := capture(t, neighbour.Netns, "eth0")
	v := newUp(t, 3)

	arps := 0
	// Multicast reports come within a second. A slow machine may miss a failure here,
	// but not see one that is none.
	for frame := range frames(1200 * time.Millisecond) {
		src, kind := net.HardwareAddr(frame[6:12]), binary.BigEndian.Uint16(frame[12:])
		isGratuitous := kind == unix.ETH_P_ARP && bytes.Equal(frame[28:32], frame[38:42]) && bytes.Equal(frame[28:32], v.Addrs[0].Addr().AsSlice())
		if src.String() == v.PeerMAC.String() && isGratuitous {
			arps++
		} else {
			t.Errorf("%s sent %x", src, frame)
		}
	}
	if arps != 1 {
		t.Errorf("%d gratuitous ARPs, want 1", arps)
	}
}

// capture returns the frames that come in through a device from now on. They end
// when none came for as long as asked.
func capture(t *testing.T, ns, dev string) func(quiet time.Duration) iter.Seq[[]byte] {
	t.Helper()
	index := linkIn(t, ns, dev).Index
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8 // network order
	var fd int
	err := Do(ns, func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func(quiet time.Duration) iter.Seq[[]byte] {
		return func(yield func([]byte) bool) {
			timeout := unix.NsecToTimeval(quiet.Nanoseconds())
			if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 2048)
			for {
				n, from, err := unix.Recvfrom(fd, buf, 0)
				if errors.Is(err, unix.EINTR) {
					continue
				}
				if err != nil { // nothing came
					return
				}
				outgoing := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING
				if !outgoing && !yield(buf[:n]) {
					return
				}
			}
		}
	}
}
