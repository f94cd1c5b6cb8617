package netdev

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An MTU that changes does so at every end, and what then is too large is told so.
func TestMTUChanges(t *testing.T) {
	newHost(t)
	v := newVeth(2, newSandbox(t, "web"))
	bridge := Bridge{Name: "br0", MAC: bridgeMAC, Addrs: prefixes("172.30.0.1/24")}
	newBridge(t)
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	inside, host := net.PacketConn(nil), net.PacketConn(nil)
	for _, mtu := range []int{1400, 9000, 1280, 1500} {
		bridge.MTU, v.MTU = mtu, mtu
		if _, _, err := EnsureBridge(bridge); err != nil {
			t.Fatal(err)
		}
		wantUp(t, v)
		for range 2 {
			for _, l := range []LinkInfo{linkIn(t, threadNetns, "br0"), linkIn(t, threadNetns, v.Host), linkIn(t, v.Netns, "eth0")} {
				if l.MTU != mtu {
					t.Errorf("MTU of %s is %d, want %d", l.Name, l.MTU, mtu)
				}
			}
			v.MTU, bridge.MTU = 0, 0 // any: they stay
			wantUp(t, v)
			if _, _, err := EnsureBridge(bridge); err != nil {
				t.Fatal(err)
			}
		}
		if inside == nil {
			inside, host = packetConn(t, v.Netns, v.Addrs[0].Addr(), 53), packetConn(t, threadNetns, gateway, 53)
			dontFragment(t, inside)
			dontFragment(t, host)
		}
		const headers = 20 + 8
		for _, way := range [][2]net.PacketConn{{inside, host}, {host, inside}} {
			if err := sendWhole(way[0], way[1], mtu-headers); err != nil {
				t.Errorf("MTU %d: a packet of it from %s: %v", mtu, way[0].LocalAddr(), err)
			}
			if err := sendWhole(way[0], way[1], mtu-headers+1); !errors.Is(err, unix.EMSGSIZE) {
				t.Errorf("MTU %d: a packet above it from %s: %v, want EMSGSIZE", mtu, way[0].LocalAddr(), err)
			}
		}
	}
}

func dontFragment(t *testing.T, c net.PacketConn) {
	t.Helper()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var opt error
	err = raw.Control(func(fd uintptr) {
		opt = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	})
	if err != nil || opt != nil {
		t.Fatal(err, opt)
	}
}

// sendWhole sends a datagram with so many bytes and receives it.
func sendWhole(from, to net.PacketConn, size int) error {
	if _, err := from.WriteTo(make([]byte, size), to.LocalAddr()); err != nil {
		return err
	}
	if err := to.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	n, _, err := to.ReadFrom(make([]byte, 1<<16))
	if err == nil && n != size {
		err = errors.New("some bytes are missing")
	}
	return err
}
