package netdev

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFindUplinks(t *testing.T) {
	public := []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}
	for _, row := range []struct {
		name string
		link LinkInfo
		want bool
	}{
		{"hardware", LinkInfo{Name: "eth0", Kind: "device", Addrs: public}, true},
		{"hardware that is down", LinkInfo{Name: "eth0", Kind: "device", Addrs: public, Up: false}, true},
		{"private address", LinkInfo{Name: "eth0", Addrs: prefixes("10.0.0.4/8")}, true},
		{"IPv6 only", LinkInfo{Name: "eth0", Addrs: prefixes("2001:db8::1/64")}, true},
		{"unique local IPv6", LinkInfo{Name: "eth0", Addrs: prefixes("fd00::1/64")}, true},
		{"global behind link-local", LinkInfo{Name: "eth0", Addrs: prefixes("fe80::1/64", "192.0.2.7/24")}, true},
		{"no address", LinkInfo{Name: "eth0"}, false},
		{"link-local only", LinkInfo{Name: "eth0", Addrs: prefixes("fe80::1/64", "169.254.1.1/16")}, false},
		{"loopback", LinkInfo{Name: "lo", Loopback: true, Addrs: prefixes("127.0.0.1/8", "192.0.2.9/32")}, false},
		{"renamed loopback", LinkInfo{Name: "loop", Loopback: true, Addrs: public}, false},
		{"ours", LinkInfo{Name: "ebnet0", Kind: "bridge", Addrs: public}, false},
		{"tunnel", LinkInfo{Name: "wg0", Kind: "wireguard", Addrs: public}, true},
		{"VLAN", LinkInfo{Name: "eth0.7", Kind: "vlan", Addrs: public}, true},
		{"the host's bridge over its hardware", LinkInfo{Name: "br0", Kind: "bridge", Addrs: public}, true},
		{"the host's bridge with a long name", LinkInfo{Name: "br-lan", Kind: "bridge", Addrs: public}, true},
		{"docker0", LinkInfo{Name: "docker0", Kind: "bridge", Addrs: public}, false},
		{"hardware called docker0", LinkInfo{Name: "docker0", Kind: "device", Addrs: public}, true},
		{"docker network", LinkInfo{Name: "br-0123456789ab", Kind: "bridge", Addrs: public}, false},
		{"almost a docker network", LinkInfo{Name: "br-0123456789abc", Kind: "bridge", Addrs: public}, true},
		{"swarm", LinkInfo{Name: "docker_gwbridge", Kind: "bridge", Addrs: public}, false},
		{"cni", LinkInfo{Name: "cni-podman0", Kind: "bridge", Addrs: public}, false},
		{"podman", LinkInfo{Name: "podman1", Kind: "bridge", Addrs: public}, false},
		{"veth to another host", LinkInfo{Name: "up0", Kind: "veth", Addrs: public}, true},
		{"veth on a bridge", LinkInfo{Name: "up0", Kind: "veth", Addrs: public, Master: 9}, false},
		{"veth in a VRF", LinkInfo{Name: "up0", Kind: "veth", Addrs: public, Master: 8}, true},
		{"routed veth of an engine", LinkInfo{Name: "veth12ab34cd", Kind: "veth", Addrs: public}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.link.Index = 5
			links := []LinkInfo{row.link, {Index: 8, Name: "vrf0", Kind: "vrf"}, {Index: 9, Name: "cni0", Kind: "bridge"}}
			got := FindUplinks(links, func(name string) bool { return name == "ebnet0" })
			if (len(got) == 1) != row.want || len(got) > 1 {
				t.Errorf("FindUplinks = %+v, want it in: %v", got, row.want)
			}
		})
	}
}

// An engine's bridge may have any name, and the host's own way out is a bridge, too.
func TestFindUplinksKnowsEnginesBridges(t *testing.T) {
	links := []LinkInfo{
		{Index: 2, Name: "eth0", Kind: "device", Master: 3},
		{Index: 3, Name: "br0", Kind: "bridge", Addrs: prefixes("192.0.2.7/24")},
		{Index: 4, Name: "shop", Kind: "bridge", Addrs: prefixes("172.20.0.1/16")},
		{Index: 5, Name: "veth0", Kind: "veth", Master: 4, Addrs: prefixes("172.20.0.9/16")},
		{Index: 6, Name: "eth1", Kind: "device", Addrs: prefixes("198.51.100.7/24")},
		{Index: 7, Name: "docker0", Kind: "bridge", Addrs: prefixes("172.17.0.1/16")},
	}
	none := func(string) bool { return false }
	for _, row := range []struct{ engine, want []string }{
		{nil, []string{"br0", "shop", "eth1"}},
		{[]string{"docker0", "shop"}, []string{"br0", "eth1"}},
		{[]string{"eth1"}, []string{"br0", "shop", "eth1"}}, // no bridge
	} {
		var got []string
		for _, l := range FindUplinks(links, none, row.engine...) {
			got = append(got, l.Name)
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("bridges %v are an engine's: %v, want %v", row.engine, got, row.want)
		}
	}
}

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func TestSysctlPath(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward":               "/proc/sys/net/ipv4/ip_forward",
		"net/ipv4/conf/eth0.100/forwarding": "/proc/sys/net/ipv4/conf/eth0.100/forwarding",
		"net.ipv4.conf.eth0/100.forwarding": "/proc/sys/net/ipv4/conf/eth0.100/forwarding",
	} {
		if got := sysctlPath(name); got != want {
			t.Errorf("sysctlPath(%s) = %s, want %s", name, got, want)
		}
	}
}

func TestPortSet(t *testing.T) {
	for _, row := range []struct {
		text, want string
		ports      int
	}{
		{"", "", 0},
		{" \n", "", 0},
		{"80", "80", 1},
		{"8000-8010,80", "80,8000-8010", 12},
		{"1,2,3", "1-3", 3},
		{"5-9,7-12", "5-12", 8},
		{"63-64,127,128", "63-64,127-128", 4},
		{"0-65535", "0-65535", 65536},
		{"65535,0", "0,65535", 2},
	} {
		set, err := ParsePortSet(row.text)
		if err != nil || set.String() != row.want || set.Len() != row.ports {
			t.Errorf("ParsePortSet(%q) = %s with %d, %v; want %s with %d", row.text, set, set.Len(), err, row.want, row.ports)
		}
	}
	for _, bad := range []string{"x", "1,", ",", "1-", "-1", "9-8", "65536", "1-65536", "1 2", "1--2"} {
		if set, err := ParsePortSet(bad); err == nil {
			t.Errorf("ParsePortSet(%q) = %s, want an error", bad, set)
		}
	}
}

func TestPortSetAlgebra(t *testing.T) {
	var a, b PortSet
	a.Add(100, 200)
	b.Add(150, 300)
	if got := a.Union(b); got.String() != "100-300" {
		t.Errorf("Union = %s", got)
	}
	if got := a.Minus(b); got.String() != "100-149" {
		t.Errorf("Minus = %s", got)
	}
	if a.String() != "100-200" || b.String() != "150-300" {
		t.Errorf("operands changed: %s, %s", a, b)
	}
	a.Remove(101, 199)
	if a.String() != "100,200" || !a.Has(200) || a.Has(101) {
		t.Errorf("Remove left %s", a)
	}
	a.Add(9, 8)
	if a.Len() != 2 {
		t.Errorf("an empty range added something: %s", a)
	}
}

func FuzzParsePortSet(f *testing.F) {
	f.Add("80,8000-8010")
	f.Add("0-65535")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParsePortSet(text)
		if err != nil {
			return
		}
		if again, err := ParsePortSet(set.String()); err != nil || again != set {
			t.Errorf("%q is %s, read again %s, %v", text, set, again, err)
		}
	})
}

func TestPieces(t *testing.T) {
	var items []string
	for p := 1; p <= 65535; p += 2 {
		items = append(items, strconv.Itoa(p))
	}
	lines := pieces(items, reservedPiece)
	for i, line := range lines {
		if len(line) > reservedPiece || !strings.HasSuffix(line, "\n") || (i < len(lines)-1 && len(line) < reservedPiece-6) {
			t.Errorf("piece %d has %d bytes", i, len(line))
		}
	}
	joined := strings.ReplaceAll(strings.TrimSpace(strings.Join(lines, "")), "\n", ",")
	if joined != strings.Join(items, ",") {
		t.Error("pieces do not join to the list")
	}
	if got := pieces(nil, reservedPiece); !slices.Equal(got, []string{"\n"}) {
		t.Errorf("pieces of nothing are %q", got)
	}
}

func TestReservedPorts(t *testing.T) {
	newHost(t)
	var odd PortSet
	for p := 1; p <= 65535; p += 2 {
		odd.Add(uint16(p), uint16(p))
	}
	var few PortSet
	few.Add(8000, 18000)
	few.Add(80, 80)
	for _, set := range []PortSet{odd, few, {}} { // each replaces the one before
		if err := WriteReservedPorts(set); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadReservedPorts(); err != nil || got != set {
			t.Errorf("%d ports written, %d read, %v", set.Len(), got.Len(), err)
		}
	}
}
