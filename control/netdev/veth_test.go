package netdev

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

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
