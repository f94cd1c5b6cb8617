package netdev

import (
	"fmt"
	"net"
	"testing"
	"time"
)

func TestTraffic(t *testing.T) {
	newHost(t)
	newBridge(t)
	a, b := newUp(t, 2), newUp(t, 3)
	inA, inB, onHost := packetConn(t, a.Netns, a.Addrs[0].Addr(), 53), packetConn(t, b.Netns, b.Addrs[0].Addr(), 53), packetConn(t, threadNetns, gateway, 53)
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
