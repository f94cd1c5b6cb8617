package netdev

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestCreateVeth(t *testing.T) {
	newHost(t)
	newBridge(t)
	v := newVeth(2, newSandbox(t, "web"))
	index, err := CreateVeth(v)
	if err != nil {
		t.Fatal(err)
	}
	host, err := Link("v2")
	if err != nil {
		t.Fatal(err)
	}
	if host.Index != index || host.Kind != "veth" || host.Up || host.Master != 0 || host.MTU != 1400 || host.MAC.String() != v.HostMAC.String() || host.NetnsID < 0 {
		t.Errorf("host side is %+v", host)
	}
	wantSysctl(t, "net.ipv6.conf.v2.disable_ipv6", "1")
	peer := linkIn(t, v.Netns, "eth0")
	if peer.Up || peer.MTU != 1400 || peer.MAC.String() != v.PeerMAC.String() || len(peer.Addrs) != 0 {
		t.Errorf("sandbox side is %+v", peer)
	}

	if _, err := CreateVeth(v); !errors.Is(err, ErrExists) {
		t.Errorf("second CreateVeth: %v, want ErrExists", err)
	}
	other := v
	other.Host = "v3" // its name is free, the other end's is not
	if _, err := CreateVeth(other); !errors.Is(err, ErrExists) {
		t.Errorf("CreateVeth with a taken peer: %v, want ErrExists", err)
	}
	if _, err := Link("v3"); !errors.Is(err, ErrNotFound) {
		t.Errorf("failed CreateVeth left its link: %v", err)
	}
	other.Netns = NetnsPath("none")
	if _, err := CreateVeth(other); !errors.Is(err, ErrNotFound) {
		t.Errorf("CreateVeth without namespace: %v, want ErrNotFound", err)
	}

	for range 2 { // also when it is gone
		if err := DeleteLink("v2"); err != nil {
			t.Error(err)
		}
	}
	if _, err := Link("v2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Link of a deleted one: %v, want ErrNotFound", err)
	}
}

func TestVethUp(t *testing.T) {
	newHost(t)
	bridge := newBridge(t)
	v := newUp(t, 2)

	host, err := Link(v.Host)
	if err != nil || !host.Up || host.Master != bridge {
		t.Errorf("host side is %+v, %v", host, err)
	}
	peer := linkIn(t, v.Netns, "eth0")
	if !peer.Up || !slices.Equal(peer.Addrs, v.Addrs) {
		t.Errorf("sandbox side is %+v, want addresses %v only", peer, v.Addrs)
	}
	if lo := linkIn(t, v.Netns, "lo"); !lo.Up || !lo.Loopback {
		t.Errorf("lo is %+v", lo)
	}
	if got := defaultRoutes(t, v.Netns); !slices.Equal(got, []string{"172.30.0.1"}) {
		t.Errorf("default routes via %v", got)
	}
	err = Do(v.Netns, func() error {
		wantSysctl(t, "net.ipv6.conf.eth0.accept_ra", "0")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// defaultRoutes lists the gateways of a namespace's default routes.
func defaultRoutes(t *testing.T, ns string) (gateways []string) {
	t.Helper()
	for _, family := range []string{"-4", "-6"} {
		var out []byte
		err := Do(ns, func() (err error) {
			out, err = exec.Command("ip", family, "route", "show", "default").CombinedOutput()
			return err
		})
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			gateways = append(gateways, strings.Fields(line)[2])
		}
	}
	return gateways
}

func TestVethUpDualStack(t *testing.T) {
	newHost(t)
	newBridge(t)
	v := newVeth(2, newSandbox(t, "web"))
	v.Addrs = append(v.Addrs, netip.MustParsePrefix("fd00:30::2/64"))
	v.Gateways = append(v.Gateways, netip.MustParseAddr("fd00:30::1"))
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	if err := v.Up(); err != nil {
		t.Fatal(err)
	}
	if got := defaultRoutes(t, v.Netns); !slices.Equal(got, []string{"172.30.0.1", "fd00:30::1"}) {
		t.Errorf("default routes via %v", got)
	}
	// Bound at once: there is no duplicate detection to wait for.
	err := Do(v.Netns, func() error {
		c, err := net.ListenPacket("udp6", "[fd00:30::2]:0")
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestVethUpRepairs(t *testing.T) {
	for _, damage := range []struct{ name, host, inside string }{
		{"host side down", "link set v2 down", ""},
		{"off the bridge", "link set v2 nomaster", ""},
		{"lo down", "", "link set lo down"},
		{"eth0 down, its routes gone with it", "", "link set eth0 down"},
		{"address gone, its routes gone with it", "", "addr flush dev eth0"},
		{"route gone", "", "route del default"},
	} {
		t.Run(damage.name, func(t *testing.T) {
			newHost(t)
			bridge := newBridge(t)
			v := newUp(t, 2)
			runIP(t, threadNetns, damage.host)
			runIP(t, v.Netns, damage.inside)
			if err := v.Up(); err != nil {
				t.Fatal(err)
			}
			host, err := Link(v.Host)
			if err != nil || !host.Up || host.Master != bridge {
				t.Errorf("host side is %+v, %v", host, err)
			}
			if peer := linkIn(t, v.Netns, "eth0"); !peer.Up || !slices.Equal(peer.Addrs, v.Addrs) {
				t.Errorf("sandbox side is %+v", peer)
			}
			if lo := linkIn(t, v.Netns, "lo"); !lo.Up {
				t.Errorf("lo is %+v", lo)
			}
			if got := defaultRoutes(t, v.Netns); !slices.Equal(got, []string{"172.30.0.1"}) {
				t.Errorf("default routes via %v", got)
			}
		})
	}
}

// A default route that somebody set in the sandbox is theirs.
func TestVethUpKeepsOtherDefaultRoute(t *testing.T) {
	newHost(t)
	newBridge(t)
	v := newUp(t, 2)
	runIP(t, v.Netns, "route replace default via 172.30.0.9")
	if err := v.Up(); err != nil {
		t.Fatal(err)
	}
	if got := defaultRoutes(t, v.Netns); !slices.Equal(got, []string{"172.30.0.9"}) {
		t.Errorf("default routes via %v", got)
	}
}

// runIP runs ip(8) in a namespace; nothing without arguments.
func runIP(t *testing.T, ns, args string) {
	t.Helper()
	if args == "" {
		return
	}
	err := Do(ns, func() error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", args, err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVethUpErrors(t *testing.T) {
	newHost(t)
	v := newVeth(2, newSandbox(t, "web"))
	if err := v.Up(); !errors.Is(err, ErrNotFound) {
		t.Errorf("Up before creation: %v, want ErrNotFound", err)
	}
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	if err := v.Up(); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "br0") {
		t.Errorf("Up without bridge: %v, want ErrNotFound of br0", err)
	}
	newBridge(t)
	v.Gateways = []netip.Addr{netip.MustParseAddr("10.9.9.9")}
	if err := v.Up(); !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("Up with an unreachable gateway: %v, want ENETUNREACH", err)
	}
}

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

func TestTraffic(t *testing.T) {
	newHost(t)
	newBridge(t)
	a, b := newUp(t, 2), newUp(t, 3)
	listen := func(ns, addr string) (c net.PacketConn) {
		t.Helper()
		err := Do(ns, func() (err error) {
			c, err = net.ListenPacket("udp4", addr)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	inA, inB, onHost := listen(a.Netns, "172.30.0.2:53"), listen(b.Netns, "172.30.0.3:53"), listen(threadNetns, "172.30.0.1:53")
	for _, way := range []struct {
		name     string
		from, to net.PacketConn
	}{
		{"sandbox to sandbox", inA, inB},
		{"sandbox to host", inB, onHost},
		{"host to sandbox", onHost, inA},
	} {
		if err := exchange(way.from, way.to); err != nil {
			t.Errorf("%s: %v", way.name, err)
		}
	}

	stats, err := LinkStats()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{a.Host, b.Host, "br0"} {
		l, err := Link(name)
		if err != nil {
			t.Fatal(err)
		}
		if s := stats[l.Index]; s.RxPackets == 0 || s.RxBytes < 28*s.RxPackets || s.TxPackets == 0 || s.TxBytes < 28*s.TxPackets {
			t.Errorf("statistics of %s are %+v", name, s)
		}
	}
}

// exchange sends a datagram one way and its sender's answer back.
func exchange(from, to net.PacketConn) error {
	deadline := time.Now().Add(patience)
	for i, c := range []net.PacketConn{from, to} {
		peer := []net.PacketConn{to, from}[i]
		if _, err := c.WriteTo([]byte("hello"), peer.LocalAddr()); err != nil {
			return err
		}
		if err := peer.SetReadDeadline(deadline); err != nil {
			return err
		}
		buf := make([]byte, 16)
		n, sender, err := peer.ReadFrom(buf)
		if err != nil {
			return err
		}
		if string(buf[:n]) != "hello" || sender.String() != c.LocalAddr().String() {
			return fmt.Errorf("got %q from %s", buf[:n], sender)
		}
	}
	return nil
}
