package netdev

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEnsureBridge(t *testing.T) {
	newHost(t)
	want := Bridge{
		Name: "br0", MTU: 1400, MAC: bridgeMAC,
		Addrs: []netip.Prefix{netip.MustParsePrefix("172.30.0.1/24"), netip.MustParsePrefix("fd00:30::1/64")},
	}
	index, created, err := EnsureBridge(want)
	if err != nil || !created {
		t.Fatalf("EnsureBridge = %d, %v, %v", index, created, err)
	}
	got, err := Link("br0")
	if err != nil {
		t.Fatal(err)
	}
	if got.Index != index || got.Kind != "bridge" || !got.Up || got.MTU != 1400 || got.MAC.String() != bridgeMAC.String() || !got.Ethernet {
		t.Errorf("bridge is %+v", got)
	}
	for _, a := range want.Addrs {
		if !slices.Contains(got.Addrs, a) {
			t.Errorf("address %s is missing: %v", a, got.Addrs)
		}
	}
	if !slices.Equal(got.Broadcasts, []netip.Addr{netip.MustParseAddr("172.30.0.255")}) {
		t.Errorf("broadcasts are %v", got.Broadcasts)
	}
	for key, value := range map[string]string{"stp_state": "0", "forward_delay": "0", "multicast_snooping": "0", "ageing_time": "30000"} {
		wantBridgeOption(t, "br0", key, value)
	}
	wantSysctl(t, "net.ipv6.conf.br0.accept_ra", "0")
	wantSysctl(t, "net.ipv6.conf.br0.autoconf", "0")
	out, err := exec.Command("ip", "-6", "addr", "show", "dev", "br0", "to", "fd00:30::1").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "nodad") || strings.Contains(string(out), "tentative") {
		t.Errorf("IPv6 address: %v: %s", err, out)
	}

	if again, created, err := EnsureBridge(want); err != nil || created || again != index {
		t.Errorf("second EnsureBridge = %d, %v, %v; want %d, false", again, created, err, index)
	}
}

// wantBridgeOption asks `ip`, which reads another way than we write.
func wantBridgeOption(t *testing.T, bridge, key, value string) {
	t.Helper()
	out, err := exec.Command("ip", "-d", "link", "show", bridge).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names := map[string]string{"multicast_snooping": "mcast_snooping"}
	if name, ok := names[key]; ok {
		key = name
	}
	if !strings.Contains(string(out), " "+key+" "+value+" ") {
		t.Errorf("bridge has no %s %s: %s", key, value, out)
	}
}

func TestEnsureBridgeRepairsOurs(t *testing.T) {
	newHost(t)
	newBridge(t)
	if err := exec.Command("ip", "addr", "flush", "dev", "br0").Run(); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("ip", "link", "set", "br0", "mtu", "1300", "down").Run(); err != nil {
		t.Fatal(err)
	}
	if err := WriteSysctl("net.ipv6.conf.br0.accept_ra", "1"); err != nil {
		t.Fatal(err)
	}
	newBridge(t)
	got, err := Link("br0")
	if err != nil || !got.Up || got.MTU != 1400 || !slices.Contains(got.Addrs, netip.MustParsePrefix("172.30.0.1/24")) {
		t.Errorf("not repaired: %+v, %v", got, err)
	}
	wantSysctl(t, "net.ipv6.conf.br0.accept_ra", "0")
}

// One that somebody has given another MAC is ours all the same, and looked after.
func TestEnsureBridgeTakesBack(t *testing.T) {
	newHost(t)
	newBridge(t)
	web := newUp(t, 2)
	for _, harm := range []string{
		"link set br0 address 02:09:09:09:09:09 mtu 1300",
		"link set br0 address 02:09:09:09:09:09 down",
	} {
		runIP(t, threadNetns, harm)
		newBridge(t)
		got, err := Link("br0")
		if err != nil || !got.Up || got.MTU != 1400 || got.MAC.String() != bridgeMAC.String() {
			t.Errorf("after %s the bridge is %+v, %v", harm, got, err)
		}
		if err := exchange(packetConn(t, web.Netns, web.Addrs[0].Addr(), 0), packetConn(t, threadNetns, gateway, 0)); err != nil {
			t.Errorf("after %s: %v", harm, err)
		}
	}
}

// hostRoutesOf are the IPv4 routes by a device, as `ip` shows them.
func hostRoutesOf(t *testing.T, device string) string {
	t.Helper()
	out, err := exec.Command("ip", "-4", "route", "show", "table", "all", "dev", device).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// The routes that the kernel makes with an address come back as it makes them, whichever
// of them is gone, and go with the address.
func TestEnsureBridgeRoutes(t *testing.T) {
	newHost(t)
	bridge := Bridge{Name: "br0", MAC: bridgeMAC, Addrs: prefixes("172.30.0.1/24", "172.31.0.0/31", "172.32.0.1/32")}
	if _, _, err := EnsureBridge(bridge); err != nil {
		t.Fatal(err)
	}
	before := hostRoutesOf(t, "br0")
	for _, harm := range []string{
		"route del 172.30.0.0/24 dev br0",
		"route del local 172.30.0.1 dev br0 table local",
		"route del 172.31.0.0/31 dev br0",
		"route del local 172.32.0.1 dev br0 table local",
		"route flush table local dev br0",
		"route flush table all dev br0",
	} {
		for _, p := range bridge.Addrs {
			if routes, err := Routes(); err != nil || !HasRoutes(routes, linkIn(t, threadNetns, "br0").Index, p) {
				t.Errorf("before %s: the routes of %s are not seen: %+v, %v", harm, p, routes, err)
			}
		}
		runIP(t, threadNetns, harm)
		routes, err := Routes()
		whole := func(p netip.Prefix) bool { return HasRoutes(routes, linkIn(t, threadNetns, "br0").Index, p) }
		if err != nil || !slices.ContainsFunc(bridge.Addrs, func(p netip.Prefix) bool { return !whole(p) }) {
			t.Errorf("%s is not seen: %+v, %v", harm, routes, err)
		}
		if _, _, err := EnsureBridge(bridge); err != nil {
			t.Errorf("after %s: %v", harm, err)
		}
		if after := hostRoutesOf(t, "br0"); after != before {
			t.Errorf("after %s the routes are\n%s\nwant\n%s", harm, after, before)
		}
	}
	bridge.Addrs = append(bridge.Addrs, netip.MustParsePrefix("172.30.0.2/24"))
	for range 2 {
		if _, _, err := EnsureBridge(bridge); err != nil {
			t.Fatal(err)
		}
		after := hostRoutesOf(t, "br0")
		if strings.Count(after, "172.30.0.0/24") != 1 || strings.Count(after, "172.30.0.255") != 1 || strings.Count(after, "local 172.30.0.2 ") != 1 {
			t.Errorf("with two addresses in a subnet the routes are\n%s", after)
		}
		runIP(t, threadNetns, "route flush table all dev br0")
	}
	runIP(t, threadNetns, "addr flush dev br0")
	if left := hostRoutesOf(t, "br0"); left != "" {
		t.Errorf("routes outlive their addresses:\n%s", left)
	}
}

// Another's route to the same subnet stays, and has no other place than behind it.
func TestEnsureBridgeRoutesBesideOthers(t *testing.T) {
	newHost(t)
	newBridge(t)
	newUp(t, 2)
	runIP(t, threadNetns, "route replace 172.30.0.0/24 via 172.30.0.2 dev br0 onlink")
	runIP(t, threadNetns, "route add 172.30.0.0/24 dev br0 table 77")
	index := linkIn(t, threadNetns, "br0").Index
	routes, err := Routes()
	if err != nil || HasRoutes(routes, index, netip.MustParsePrefix("172.30.0.1/24")) {
		t.Errorf("others' routes by the same device count as ours: %+v, %v", routes, err)
	}
	newBridge(t)
	routes, err = Routes()
	theirs := Route{Dst: netip.MustParsePrefix("172.30.0.0/24"), Device: index, Gateway: netip.MustParseAddr("172.30.0.2"), Main: true}
	if err != nil || !slices.Contains(routes, theirs) || !HasRoutes(routes, index, netip.MustParsePrefix("172.30.0.1/24")) {
		t.Errorf("routes %+v, %v", routes, err)
	}
	// By another device, with ours gone: it does not count.
	runIP(t, threadNetns, "link add br1 up type bridge")
	runIP(t, threadNetns, "route flush 172.30.0.0/24")
	runIP(t, threadNetns, "route add 172.30.0.0/24 dev br1")
	if routes, err = Routes(); err != nil || HasRoutes(routes, index, netip.MustParsePrefix("172.30.0.1/24")) {
		t.Errorf("routes %+v, %v", routes, err)
	}
	newBridge(t)
	if routes, err = Routes(); err != nil || !HasRoutes(routes, index, netip.MustParsePrefix("172.30.0.1/24")) {
		t.Errorf("routes %+v, %v", routes, err)
	}
}

// What is foreign keeps the routes that it has.
func TestEnsureForeignBridgeRoutes(t *testing.T) {
	newHost(t)
	newBridge(t)
	runIP(t, threadNetns, "route flush table all dev br0")
	if _, _, err := EnsureBridge(Bridge{Name: "br0", Foreign: true, Addrs: prefixes("172.30.0.1/24")}); err != nil {
		t.Fatal(err)
	}
	if got := hostRoutesOf(t, "br0"); got != "" {
		t.Errorf("somebody else's bridge got routes:\n%s", got)
	}
}

// A foreign bridge is used as it is. Its address is kept, the gateway's added only
// where it is asked for.
func TestEnsureForeignBridge(t *testing.T) {
	newHost(t)
	runIP(t, threadNetns, "link add br9 mtu 1300 address 02:09:09:09:09:09 type bridge stp_state 1")
	runIP(t, threadNetns, "addr add 10.7.0.1/24 dev br9")
	if err := WriteSysctl("net.ipv6.conf.br9.accept_ra", "1"); err != nil {
		t.Fatal(err)
	}
	want := Bridge{Name: "br9", MTU: 1400, MAC: net.HardwareAddr{2, 9, 9, 9, 9, 9}, Foreign: true}
	own, gateway := "10.7.0.1/24", "172.30.0.1/24"
	for _, row := range []struct{ add, have []netip.Prefix }{
		{nil, prefixes(own)},
		{prefixes(gateway), prefixes(own, gateway)},
		{nil, prefixes(own, gateway)},
	} {
		want.Addrs = row.add
		index, created, err := EnsureBridge(want)
		if err != nil || created {
			t.Fatalf("EnsureBridge = %d, %v, %v", index, created, err)
		}
		got, err := Link("br9")
		if err != nil || !got.Up || got.Index != index || got.MTU != 1300 || got.MAC.String() != want.MAC.String() {
			t.Errorf("bridge is %+v, %v", got, err)
		}
		if addrs := slices.DeleteFunc(got.Addrs, is6); !slices.Equal(addrs, row.have) {
			t.Errorf("addresses are %v, want %v", addrs, row.have)
		}
		wantBridgeOption(t, "br9", "stp_state", "1")
		wantSysctl(t, "net.ipv6.conf.br9.accept_ra", "1")
	}
	runIP(t, threadNetns, "link del br9")
	if _, _, err := EnsureBridge(want); !errors.Is(err, ErrNotFound) {
		t.Errorf("EnsureBridge of a foreign one that is gone: %v, want ErrNotFound", err)
	}
	if _, err := Link("br9"); !errors.Is(err, ErrNotFound) {
		t.Errorf("it was made: %v", err)
	}
}

func TestEnsureBridgeErrors(t *testing.T) {
	newHost(t)
	if _, err := EnsureFIBLink("fib"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := EnsureBridge(Bridge{Name: "fib"}); !errors.Is(err, ErrNotBridge) {
		t.Errorf("EnsureBridge over a veth: %v, want ErrNotBridge", err)
	}
	if _, _, err := EnsureBridge(Bridge{Name: "fib", Foreign: true}); !errors.Is(err, ErrNotBridge) {
		t.Errorf("EnsureBridge over a veth, foreign: %v, want ErrNotBridge", err)
	}
	bad := Bridge{Name: "br0", Addrs: []netip.Prefix{netip.MustParsePrefix("ff02::1/64")}}
	if _, _, err := EnsureBridge(bad); err == nil {
		t.Error("EnsureBridge with a multicast address succeeded")
	}
	if _, err := Link("br0"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Link after a failed creation: %v, want ErrNotFound", err)
	}
}

func TestEnsureFIBLink(t *testing.T) {
	newHost(t)
	fib, err := EnsureFIBLink("fib")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := EnsureFIBLink("fib"); err != nil || again != fib {
		t.Errorf("second EnsureFIBLink = %v, %v; want %v", again, err, fib)
	}
	for name, addrs := range map[string]int{"fib": 1, "fibp": 0} {
		l, err := Link(name)
		if err != nil || !l.Up || l.Kind != "veth" || len(l.Addrs) != addrs {
			t.Errorf("%s is %+v, %v; want up with %d addresses", name, l, err, addrs)
		}
		if name == "fib" && l.MAC.String() != net.HardwareAddr(fib.MAC[:]).String() {
			t.Errorf("MAC address %x, want %s", fib.MAC, l.MAC)
		}
	}
	wantSysctl(t, "net.ipv4.conf.fib.forwarding", "1")
	wantSysctl(t, "net.ipv4.conf.fib.rp_filter", "2")
	wantSysctl(t, "net.ipv6.conf.fib.forwarding", "1")
	wantSysctl(t, "net.ipv4.ip_forward", "0")
	wantSysctl(t, "net.ipv4.conf.fibp.forwarding", "0")
	if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
		wantSysctl(t, "net.ipv6.conf.all.forwarding", "0")
	}
	newBridge(t)
	if _, err := EnsureFIBLink("br0"); !errors.Is(err, ErrExists) {
		t.Errorf("EnsureFIBLink over a bridge: %v, want ErrExists", err)
	}
}

// The routes that come with IPv6 addresses are brought back, too.
func TestEnsureBridgeRoutes6(t *testing.T) {
	newHost(t)
	bridge := Bridge{Name: "br0", MAC: bridgeMAC, Addrs: prefixes("172.30.0.1/24", "fd00:30::1/64", "fd00:31::1/128")}
	if _, _, err := EnsureBridge(bridge); err != nil {
		t.Fatal(err)
	}
	index := linkIn(t, threadNetns, "br0").Index
	lost := func() (out []netip.Prefix) {
		routes, err := Routes()
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(slices.Clone(bridge.Addrs), func(p netip.Prefix) bool { return HasRoutes(routes, index, p) })
	}
	for deadline := time.Now().Add(patience); len(lost()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the kernel makes no routes of %v", lost())
		}
	}
	for _, harm := range []string{
		"-6 route del fd00:30::/64 dev br0",
		"-6 route del local fd00:30::1 dev br0 table local",
		"-6 route del local fd00:31::1 dev br0 table local",
	} {
		runIP(t, threadNetns, harm)
		if len(lost()) != 1 {
			t.Errorf("%s is not seen: %v", harm, lost())
		}
		for range 2 {
			if _, _, err := EnsureBridge(bridge); err != nil {
				t.Errorf("after %s: %v", harm, err)
			}
		}
		if gone := lost(); len(gone) > 0 {
			t.Errorf("after %s the routes of %v are gone", harm, gone)
		}
	}
	if _, _, err := EnsureBridge(Bridge{Name: "br0", MAC: bridgeMAC, Addrs: append(bridge.Addrs, netip.MustParsePrefix("fd00:30::2/64"))}); err != nil {
		t.Fatal(err)
	}
}

// A bridge and a sandbox on a host whose new devices have no IPv6 get their addresses all
// the same.
func TestIPv6OnDevicesThatComeWithout(t *testing.T) {
	newHost(t)
	ns := newSandbox(t, "six")
	for _, path := range []string{threadNetns, ns} {
		if err := Do(path, func() error { return WriteSysctl("net.ipv6.conf.default.disable_ipv6", "1") }); err != nil {
			t.Fatal(err)
		}
	}
	gateway6 := netip.MustParsePrefix("fd00:30::1/64")
	if _, _, err := EnsureBridge(Bridge{Name: "br0", MTU: 1400, MAC: bridgeMAC, Addrs: []netip.Prefix{gateway6}}); err != nil {
		t.Fatal(err)
	}
	v := newVeth(2, ns)
	v.Addrs, v.Gateways = prefixes("fd00:30::2/64"), []netip.Addr{gateway6.Addr()}
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	if err := v.Up(); err != nil {
		t.Fatal(err)
	}
	if got := linkIn(t, ns, "eth0").Addrs; !slices.Contains(got, v.Addrs[0]) {
		t.Errorf("addresses %v", got)
	}
	if err := CheckIPv6(); err != nil {
		t.Error(err)
	}
	if err := WriteSysctl("net.ipv6.conf.all.disable_ipv6", "1"); err != nil {
		t.Fatal(err)
	}
	if err := CheckIPv6(); !errors.Is(err, ErrNoIPv6) {
		t.Errorf("IPv6 is off: %v", err)
	}
}
