package netdev

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for something that must happen.
const patience = 10 * time.Second

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("EBNET_PRIVILEGED") == "1" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// newHost puts the test's goroutine into a network namespace of its own. Its thread
// is never unlocked, so that Go discards it, and the namespace, with the goroutine.
func newHost(t *testing.T) {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

// newSandbox makes a named network namespace for the time of the test.
func newSandbox(t *testing.T, name string) (path string) {
	t.Helper()
	path, err := CreateNetns(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := DeleteNetns(name); err != nil {
			t.Error(err)
		}
	})
	return path
}

var (
	bridgeMAC = net.HardwareAddr{2, 0x42, 1, 2, 3, 4}
	gateway   = netip.MustParseAddr("172.30.0.1")
)

// newBridge makes the bridge that the tests use: br0 with 172.30.0.1/24.
func newBridge(t *testing.T) (ifindex int) {
	t.Helper()
	ifindex, _, err := EnsureBridge(Bridge{
		Name: "br0", MTU: 1400, MAC: bridgeMAC,
		Addrs: []netip.Prefix{netip.MustParsePrefix("172.30.0.1/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ifindex
}

// newVeth describes sandbox number n's attachment to br0: 172.30.0.n/24.
func newVeth(n byte, ns string) Veth {
	addr := netip.AddrFrom4([4]byte{172, 30, 0, n})
	return Veth{
		Host: fmt.Sprintf("v%d", n), MTU: 1400, Bridge: "br0", Netns: ns, Peer: "eth0",
		HostMAC:  net.HardwareAddr{2, 0x43, 172, 30, 0, n},
		PeerMAC:  net.HardwareAddr{2, 0x42, 172, 30, 0, n},
		Addrs:    []netip.Prefix{netip.PrefixFrom(addr, 24)},
		Gateways: []netip.Addr{gateway}, Default4: true, Default6: true,
	}
}

// newUp makes a sandbox with a name and its attachment, set up.
func newUp(t *testing.T, n byte) Veth {
	t.Helper()
	v := newVeth(n, newSandbox(t, fmt.Sprintf("s%d", n)))
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	if err := v.Up(); err != nil {
		t.Fatal(err)
	}
	return v
}

// linkIn reads a device of another namespace.
func linkIn(t *testing.T, ns, name string) (info LinkInfo) {
	t.Helper()
	err := Do(ns, func() (err error) {
		info, err = Link(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func wantSysctl(t *testing.T, name, want string) {
	t.Helper()
	if got, err := ReadSysctl(name); err != nil || got != want {
		t.Errorf("sysctl %s is %q, %v; want %q", name, got, err, want)
	}
}

// eventually polls until done says so; it fails the test when patience ends.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
