package netdev

import (
	"net/netip"
	"slices"
	"testing"
)

// addrs4 are the IPv4 addresses of a device of the thread's namespace.
func addrs4(t *testing.T, name string) []netip.Prefix {
	t.Helper()
	l, err := Link(name)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(l.Addrs, is6)
}

// One address goes, and no other with it, whichever of a subnet was there first and
// whatever the kernel is told to do with the others of its subnet.
func TestRemoveAddr(t *testing.T) {
	for _, promote := range []string{"0", "1"} {
		newHost(t)
		runIP(t, threadNetns, "link add br9.7 type bridge")
		key := "net/ipv4/conf/br9.7/promote_secondaries"
		if err := WriteSysctl(key, promote); err != nil {
			t.Fatal(err)
		}
		for _, a := range []string{"10.7.0.1/24", "10.7.0.2/24", "10.7.0.3/24", "10.7.0.1/25", "10.8.0.1/24", "fd00::1/64"} {
			runIP(t, threadNetns, "addr add "+a+" dev br9.7 nodad")
		}
		for _, row := range []struct {
			remove string
			left   []netip.Prefix
		}{
			{"10.7.0.1/26", prefixes("10.7.0.1/24", "10.7.0.2/24", "10.7.0.3/24", "10.7.0.1/25", "10.8.0.1/24")},
			{"10.7.0.1/24", prefixes("10.7.0.2/24", "10.7.0.3/24", "10.7.0.1/25", "10.8.0.1/24")},
			{"10.7.0.3/24", prefixes("10.7.0.2/24", "10.7.0.1/25", "10.8.0.1/24")},
			{"10.7.0.3/24", prefixes("10.7.0.2/24", "10.7.0.1/25", "10.8.0.1/24")},
			{"10.8.0.1/24", prefixes("10.7.0.2/24", "10.7.0.1/25")},
			{"fd00::1/64", prefixes("10.7.0.2/24", "10.7.0.1/25")},
		} {
			if err := RemoveAddr("br9.7", netip.MustParsePrefix(row.remove)); err != nil {
				t.Errorf("remove %s: %v", row.remove, err)
			}
			got := addrs4(t, "br9.7")
			slices.SortFunc(got, netip.Prefix.Compare)
			slices.SortFunc(row.left, netip.Prefix.Compare)
			if !slices.Equal(got, row.left) {
				t.Errorf("without %s it has %s, want %s", row.remove, got, row.left)
			}
			wantSysctl(t, key, promote)
		}
		if l, err := Link("br9.7"); err != nil || slices.ContainsFunc(l.Addrs, is6) {
			t.Errorf("IPv6 is left: %v, %v", l.Addrs, err)
		}
		if err := RemoveAddr("gone", netip.MustParsePrefix("10.7.0.1/24")); err != nil {
			t.Errorf("from a device that is gone: %v", err)
		}
	}
}

// What cannot be done whole leaves a bridge that was there as it was.
func TestEnsureForeignBridgeTakesBack(t *testing.T) {
	newHost(t)
	runIP(t, threadNetns, "link add br9 type bridge")
	runIP(t, threadNetns, "addr add 10.7.0.1/24 dev br9")
	bad := Bridge{Name: "br9", Foreign: true, Addrs: prefixes("10.7.0.1/24", "10.8.0.1/24", "ff02::1/64")}
	if _, _, err := EnsureBridge(bad); err == nil {
		t.Fatal("a multicast address was added")
	}
	if got := addrs4(t, "br9"); !slices.Equal(got, prefixes("10.7.0.1/24")) {
		t.Errorf("it has %s, want 10.7.0.1/24 alone", got)
	}
}
