package netdev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// wantIsolated asks both ways to read a port.
func wantIsolated(t *testing.T, name string, want bool) {
	t.Helper()
	if l, err := Link(name); err != nil || l.Isolated != want {
		t.Errorf("Link says that %s is isolated: %v, %v; want %v", name, l.Isolated, err, want)
	}
	links, err := Links()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name == name && l.Isolated != want {
			t.Errorf("Links says that %s is isolated: %v; want %v", name, l.Isolated, want)
		}
	}
}

// Isolated sandboxes do not hear each other, but others, and the host does.
func TestIsolation(t *testing.T) {
	newHost(t)
	newBridge(t)
	a, b, open := newVeth(2, newSandbox(t, "a")), newVeth(3, newSandbox(t, "b")), newVeth(4, newSandbox(t, "open"))
	a.Isolated, b.Isolated = true, true
	for _, v := range []Veth{a, b, open} {
		newAttached(t, v)
		wantIsolated(t, v.Host, v.Isolated)
	}
	everybody := netip.IPv4Unspecified()
	inA, inB := packetConn(t, a.Netns, everybody, 53), packetConn(t, b.Netns, everybody, 53)
	inOpen, onHost := packetConn(t, open.Netns, everybody, 53), packetConn(t, threadNetns, everybody, 53)

	// When the others have the broadcast, the bridge has been done with it.
	send(t, inA, "172.30.0.255:53", "broadcast")
	wantHears(t, inOpen, "broadcast")
	wantHears(t, onHost, "broadcast")
	send(t, onHost, "172.30.0.3:53", "first")
	wantHears(t, inB, "first")

	a.Isolated = false
	wantUp(t, a)
	wantIsolated(t, a.Host, false)
	send(t, inA, "172.30.0.255:53", "broadcast")
	wantHears(t, inB, "broadcast")
}

func send(t *testing.T, from net.PacketConn, to, text string) {
	t.Helper()
	if _, err := from.WriteTo([]byte(text), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
		t.Fatal(err)
	}
}

// wantHears wants a text to be the next.
func wantHears(t *testing.T, c net.PacketConn, want string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, from, err := c.ReadFrom(buf)
	if err != nil || string(buf[:n]) != want {
		t.Errorf("heard %q from %v, %v; want %q", buf[:n], from, err, want)
	}
}

// What others do to a port is seen, and repaired.
func TestIsolationIsRepaired(t *testing.T) {
	newHost(t)
	newBridge(t)
	v := newVeth(2, newSandbox(t, "web"))
	v.Isolated = true
	newAttached(t, v)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, damage := range []string{"bridge link set dev v2 isolated off", "ip link set v2 nomaster"} {
		changed, err := Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		args := strings.Fields(damage)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", damage, err, out)
		}
		wantSignal(t, changed, damage)
		wantIsolated(t, v.Host, false)
		wantUp(t, v)
		wantIsolated(t, v.Host, true)
	}
}

func TestBridgeIsFull(t *testing.T) {
	newHost(t)
	bridge := newBridge(t)
	var batch strings.Builder
	for i := range MaxBridgePorts {
		fmt.Fprintf(&batch, "link add i%d type ifb\nlink set i%d master br0\n", i, i)
	}
	ip := exec.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(batch.String())
	if out, err := ip.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	links, err := Links()
	if err != nil {
		t.Fatal(err)
	}
	if n := BridgePorts(links, bridge); n != MaxBridgePorts {
		t.Errorf("%d ports, want %d", n, MaxBridgePorts)
	}
	if n := BridgePorts(links, 0); n != 0 {
		t.Errorf("no bridge has %d ports", n)
	}
	v := newVeth(2, newSandbox(t, "web"))
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	if err := v.Up(); !errors.Is(err, ErrBridgeFull) {
		t.Errorf("Up: %v, want ErrBridgeFull", err)
	}
	runIP(t, threadNetns, "link del i7")
	wantUp(t, v)
}
