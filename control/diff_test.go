package control

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

func TestDiffPublishes(t *testing.T) {
	entry := func(slot uint32, port, end uint16, target string) datapath.Publish {
		return datapath.Publish{
			Slot: slot, Proto: datapath.TCP, Host: netip.IPv4Unspecified(), HostPort: port, HostPortEnd: end,
			Target: netip.MustParseAddr(target), Port: 80,
		}
	}
	key := func(port uint16) store.PublishKey {
		return store.PublishKey{Proto: "tcp", HostIP: netip.IPv4Unspecified(), HostPort: port}
	}
	have := []datapath.Publish{
		entry(1, 8080, 8080, "10.0.0.2"), // as wanted
		entry(2, 8081, 8081, "10.0.0.9"), // leads elsewhere
		entry(3, 9000, 9005, "10.0.0.2"), // torn range
		entry(4, 7000, 7000, "10.0.0.2"), // unwanted
	}
	want := map[store.PublishKey]datapath.Publish{
		key(8080): entry(0, 8080, 8080, "10.0.0.2"),
		key(8081): entry(0, 8081, 8081, "10.0.0.2"),
		key(9000): entry(0, 9000, 9010, "10.0.0.2"),
		key(6000): entry(0, 6000, 6000, "10.0.0.2"),
	}
	add, remove, slots := diffPublishes(have, want)
	if want := []store.PublishKey{key(6000), key(8081), key(9000)}; !reflect.DeepEqual(add, want) {
		t.Errorf("add %v, want %v", add, want)
	}
	if !reflect.DeepEqual(remove, have[1:]) {
		t.Errorf("remove %v, want %v", remove, have[1:])
	}
	if want := map[store.PublishKey]uint32{key(8080): 1}; !reflect.DeepEqual(slots, want) {
		t.Errorf("slots %v, want %v", slots, want)
	}
}

func TestEndpointNeeds(t *testing.T) {
	const bridge = 3
	good := func() observed {
		return observed{
			links:     map[string]netdev.LinkInfo{"ebx": {Index: 7, Kind: "veth", Up: true, Master: bridge}},
			netns:     map[string]bool{"ebnet-web": true},
			programs:  map[int][]loader.Attachment{7: {{Hook: "clsact/ingress", Ifindex: 7}}},
			endpoints: map[uint32]datapath.Endpoint{7: {Slot: 4, Ifindex: 7, Network: 1}},
		}
	}
	for name, row := range map[string]struct {
		break_ func(*observed)
		want   needs
	}{
		"good":            {func(*observed) {}, needs{}},
		"no namespace":    {func(o *observed) { o.netns = nil }, needs{true, true, true, true, true, false}},
		"no link":         {func(o *observed) { o.links = nil }, needs{false, true, true, true, true, false}},
		"another kind":    {func(o *observed) { o.links["ebx"] = netdev.LinkInfo{Index: 7, Kind: "tun"} }, needs{false, true, true, true, true, false}},
		"no program":      {func(o *observed) { o.programs = nil }, needs{program: true}},
		"no entry":        {func(o *observed) { o.endpoints = nil }, needs{entry: true}},
		"another network": {func(o *observed) { o.endpoints[7] = datapath.Endpoint{Ifindex: 7, Network: 2} }, needs{entry: true}},
		"down":            {func(o *observed) { o.links["ebx"] = netdev.LinkInfo{Index: 7, Kind: "veth", Master: bridge} }, needs{up: true}},
		"isolated": {func(o *observed) {
			o.links["ebx"] = netdev.LinkInfo{Index: 7, Kind: "veth", Up: true, Master: bridge, Isolated: true}
		}, needs{up: true}},
		"another MTU": {func(o *observed) {
			o.links["ebx"] = netdev.LinkInfo{Index: 7, Kind: "veth", Up: true, Master: bridge, MTU: 9000}
		}, needs{mtu: true}},
		"off the bridge": {func(o *observed) { o.links["ebx"] = netdev.LinkInfo{Index: 7, Kind: "veth", Up: true} }, needs{up: true}},
	} {
		have := good()
		row.break_(&have)
		if got := endpointNeeds(have, "ebnet-web", netdev.Veth{Host: "ebx"}, datapath.Endpoint{Network: 1}, bridge); got != row.want {
			t.Errorf("%s: needs %+v, want %+v", name, got, row.want)
		}
	}
}

func TestStrangers(t *testing.T) {
	have := observed{
		links: map[string]netdev.LinkInfo{
			"up0":           {Index: 1, Kind: "device"},
			"eb00000000001": {Index: 2, Kind: "veth"}, // wanted
			"eb00000000002": {Index: 3, Kind: "veth"},
			"eb0000000000g": {Index: 4, Kind: "veth"},   // not of our making
			"eb00000000003": {Index: 5, Kind: "bridge"}, // neither
			"veth0":         {Index: 6, Kind: "veth"},
		},
		endpoints: map[uint32]datapath.Endpoint{2: {}, 3: {}, 99: {}},
		programs:  map[int][]loader.Attachment{0: nil, 1: nil, 2: nil, 6: nil},
	}
	links, entries, hooked := strangers(have, map[string]bool{"eb00000000001": true}, []uplink{{ifindex: 1}})
	if got, want := fmt.Sprint(links, entries, hooked), "[eb00000000002] [3 99] [6]"; got != want {
		t.Errorf("strangers %s, want %s", got, want)
	}
}

func TestPlanUplinks(t *testing.T) {
	link := func(i int, name, addr string) netdev.LinkInfo {
		l := netdev.LinkInfo{Index: i, Name: name, Kind: "device", MTU: 1500}
		if addr != "" {
			l.Addrs = []netip.Prefix{netip.MustParsePrefix(addr), netip.MustParsePrefix("fe80::1/64")}
		}
		return l
	}
	links := map[string]netdev.LinkInfo{}
	for _, l := range []netdev.LinkInfo{link(5, "b", "192.0.2.1/24"), link(2, "a", "198.51.100.1/24"), link(3, "bare", ""), link(4, "ebnet0", "10.0.0.1/8")} {
		links[l.Name] = l
	}
	own := func(name string) bool { return name == "ebnet0" }
	show := func(found []uplink, missing []string) (out string) {
		for _, u := range found {
			out += fmt.Sprintln(u.name, u.ifindex, u.mtu, u.addrs)
		}
		return out + fmt.Sprint(missing)
	}
	if got, want := show(planUplinks(links, nil, own)), "a 2 1500 [198.51.100.1/24]\nb 5 1500 [192.0.2.1/24]\n[]"; got != want {
		t.Errorf("found %s, want %s", got, want)
	}
	if got, want := show(planUplinks(links, []string{"bare", "late", "bare"}, own)), "bare 3 1500 []\n[late]"; got != want {
		t.Errorf("named %s, want %s", got, want)
	}
}

func TestHostAddrs(t *testing.T) {
	prefixes := func(texts ...string) (out []netip.Prefix) {
		for _, text := range texts {
			out = append(out, netip.MustParsePrefix(text))
		}
		return out
	}
	links := map[string]netdev.LinkInfo{
		"lo":     {Index: 1, Addrs: prefixes("127.0.0.1/8", "::1/128", "203.0.113.7/32")},
		"up0":    {Index: 2, Addrs: prefixes("198.51.100.1/24", "fe80::1/64"), Broadcasts: []netip.Addr{netip.MustParseAddr("198.51.100.255")}},
		"ebnet0": {Index: 3, Addrs: prefixes("10.0.0.1/30")},
		"ptp":    {Index: 4, Addrs: prefixes("192.0.2.0/31")},
	}
	got := fmt.Sprint(hostAddrs(links, []uplink{{ifindex: 2}}, map[string]int{"default": 3}))
	// address, uplink, gateway, broadcast
	want := "[{10.0.0.1 false true false} {10.0.0.3 false true true} {192.0.2.0 false false false} {198.51.100.1 true false false} " +
		"{198.51.100.255 true false true} {203.0.113.7 false false false}]"
	if got != want {
		t.Errorf("addresses %s\nwant %s", got, want)
	}
}

func TestOverlaps(t *testing.T) {
	n := store.Network{Bridge: "ebnet0", Subnets: []store.Subnet{{Prefix: netip.MustParsePrefix("172.18.0.0/16")}}}
	links := map[string]netdev.LinkInfo{
		"ebnet0": {Name: "ebnet0", Index: 3, Addrs: []netip.Prefix{netip.MustParsePrefix("172.18.0.1/16")}},
		"vpn":    {Name: "vpn", Index: 4, Addrs: []netip.Prefix{netip.MustParsePrefix("172.18.4.1/24")}},
		"up0":    {Name: "up0", Addrs: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}},
	}
	own := []netdev.Route{
		{Dst: netip.MustParsePrefix("172.18.0.0/16"), Device: 3, Main: true},
		{Dst: netip.MustParsePrefix("172.18.0.1/32"), Device: 3, Local: true},
		{Dst: netip.MustParsePrefix("10.0.0.0/8"), Device: 2, Main: true},
	}
	all := append(routes("172.16.0.0/12", "172.18.9.0/24"), own...)
	got := fmt.Sprint(overlaps(all, links, n))
	if want := "[172.16.0.0/12 172.18.4.0/24 172.18.9.0/24]"; got != want {
		t.Errorf("overlaps %s, want %s", got, want)
	}
	for name, other := range map[string]netdev.Route{
		"by another device":            {Dst: own[0].Dst, Device: 4, Main: true},
		"by a gateway":                 {Dst: own[0].Dst, Device: 3, Gateway: netip.MustParseAddr("172.18.0.9"), Main: true},
		"nowhere":                      {Dst: own[0].Dst, Main: true},
		"the gateway's address itself": {Dst: own[1].Dst, Device: 4},
	} {
		delete(links, "vpn")
		if got, want := fmt.Sprint(overlaps(append(slices.Clone(own), other), links, n)), fmt.Sprint([]netip.Prefix{other.Dst}); got != want {
			t.Errorf("%s: overlaps %s, want %s", name, got, want)
		}
	}
}

func TestSelectPublishes(t *testing.T) {
	publish := func(host string, port, end uint16) store.Publish {
		return store.Publish{Proto: "tcp", HostIP: netip.MustParseAddr(host), HostPort: port, HostPortEnd: end}
	}
	all := []store.Publish{
		publish("0.0.0.0", 80, 80), publish("127.0.0.1", 80, 80),
		publish("127.0.0.1", 81, 81), publish("198.51.100.1", 100, 100),
		publish("192.0.2.1", 90, 90), publish("192.0.2.2", 90, 90),
		publish("203.0.113.7", 7200, 7200), publish("203.0.113.7", 7300, 7300), publish("192.0.2.1", 7300, 7300),
		publish("0.0.0.0", 8000, 8004), publish("0.0.0.0", 8005, 8005), publish("0.0.0.0", 8007, 8007),
	}
	slices.Reverse(all) // in no order that helps
	for text, want := range map[string]string{
		"80":             "0.0.0.0:80/tcp",
		"127.0.0.1:80":   "127.0.0.1:80/tcp",
		"81":             "conflict",             // a stranger's, who did not ask for all addresses
		"100":            "198.51.100.1:100/tcp", // the address by default
		"81/udp":         "not found",
		"90":             "conflict",
		"7200":           "203.0.113.7:7200/tcp", // its network's address by default
		"7300":           "conflict",
		"192.0.2.2:90":   "192.0.2.2:90/tcp",
		"8000-8004":      "0.0.0.0:8000-8004/tcp",
		"8000-8005":      "0.0.0.0:8000-8004/tcp 0.0.0.0:8005/tcp",
		"8000-8007":      "not found", // 8006 is missing
		"8001":           "cannot be done",
		"8003-8005":      "cannot be done",
		"192.0.2.1:8000": "not found",
	} {
		found, err := selectPublishes(slices.Values(all), hostSpec(text), netip.MustParseAddr("198.51.100.1"), func(p store.Publish) bool { return p.HostIP == netip.MustParseAddr("203.0.113.7") })
		got := ""
		for _, p := range found {
			got += " " + hostSide(p)
		}
		got = trimFirst(got)
		for _, sentinel := range []error{api.ErrNotFound, api.ErrConflict, api.ErrUnprocessable} {
			if errors.Is(err, sentinel) {
				got = sentinel.Error()
			}
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", text, got, err, want)
		}
	}
}

func trimFirst(s string) string { return s[min(1, len(s)):] }
