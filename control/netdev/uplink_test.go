package netdev

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// Of the default routes the one that the kernel would take counts, if it leads by an uplink.
func TestDefaultUplink(t *testing.T) {
	newHost(t)
	newBridge(t)
	if _, err := EnsureFIBLink("other"); err != nil {
		t.Fatal(err)
	}
	runIP(t, threadNetns, "addr add 172.29.0.1/24 dev other")
	links, err := Links()
	if err != nil {
		t.Fatal(err)
	}
	var br0, other LinkInfo
	for _, l := range links {
		switch l.Name {
		case "br0":
			br0 = l
		case "other":
			other = l
		}
	}
	runIP(t, threadNetns, "link set lo up")
	both := []LinkInfo{br0, other}
	for _, row := range []struct {
		do   string // with ip(8)
		of   []LinkInfo
		want int // 0 for none
	}{
		{"", both, 0},
		{"route add 10.0.0.0/8 dev br0", both, 0},
		{"route add default dev br0 table 77", both, 0},
		{"route add unreachable default metric 1", both, 0},
		{"route add default dev lo metric 2", both, 0},
		{"-6 route add default dev other", both, other.Index},
		{"route add default via 172.30.0.9 metric 200", both, br0.Index},
		{"route add default via 172.29.0.9 metric 100", both, other.Index},
		{"route add default metric 50 nexthop via 172.30.0.8 nexthop via 172.30.0.9", both, br0.Index},
		{"route add 0.0.0.0/1 via 172.29.0.9", both, br0.Index},
		{"route add default dev other", both, other.Index},
		{"route add default dev br0 tos 0x10", both, other.Index},
		{"", []LinkInfo{br0}, br0.Index},
		{"", nil, 0},
	} {
		runIP(t, threadNetns, row.do)
		index, ok, err := DefaultUplink(row.of)
		if err != nil || index != row.want || ok != (row.want != 0) {
			t.Errorf("after %q, of %d: DefaultUplink = %d, %v, %v; want %d", row.do, len(row.of), index, ok, err, row.want)
		}
	}
}

// The kernel lists routes by their metric today, and promises nothing.
func TestDefaultByMetric(t *testing.T) {
	toAll := toIPNet(prefixes("0.0.0.0/0")[0])
	routes := []netlink.Route{
		{Dst: toAll, LinkIndex: 1, Priority: 100},
		{Dst: toAll, LinkIndex: 2, Priority: 50},
		{Dst: toAll, LinkIndex: 3, Priority: 0},
		{Dst: toAll, LinkIndex: 4, Priority: 70},
	}
	links := []LinkInfo{{Index: 1}, {Index: 2}, {Index: 4}}
	if index, ok := defaultBy(routes, links); index != 2 || !ok {
		t.Errorf("defaultBy = %d, %v; want 2", index, ok)
	}
}
