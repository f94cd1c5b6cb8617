package datapath_test

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf/rlimit"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// open loads maps that nothing is attached to.
func open(t *testing.T) (*datapath.Datapath, *bpf.EbnetObjects) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("EBNET_PRIVILEGED") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	var objs bpf.EbnetObjects
	if err := bpf.LoadEbnetObjects(&objs, nil); err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { objs.Close() })
	d, err := datapath.Open(&objs.EbnetMaps, objs.EbnetSweep)
	if err != nil {
		t.Fatal(err)
	}
	return d, &objs
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestNamesFitTheKernel(t *testing.T) {
	spec, err := bpf.LoadEbnet()
	check(t, err)
	for name := range spec.Maps {
		if len(name) > 15 && name[0] != '.' {
			t.Errorf("map %s has more than 15 bytes", name)
		}
	}
	for name := range spec.Programs {
		if len(name) > 15 {
			t.Errorf("program %s has more than 15 bytes", name)
		}
	}
}

func TestPublishIsWholeOrNothing(t *testing.T) {
	d, objs := open(t)
	held := datapath.Publish{
		Proto: datapath.TCP, Host: ip("0.0.0.0"), HostPort: 8005, HostPortEnd: 8005, Target: ip("172.18.0.2"), Port: 80,
	}
	held, err := d.Publish(held, nil)
	check(t, err)
	wide := held
	wide.HostPort, wide.HostPortEnd = 8000, 8010
	if _, err := d.Publish(wide, nil); !errors.Is(err, datapath.ErrExists) {
		t.Fatalf("publish over a held port: %v, want ErrExists", err)
	}
	got, err := d.Publishes()
	check(t, err)
	if len(got) != 1 || got[0] != held {
		t.Fatalf("after a refused range: %v, want %v alone", got, held)
	}
	if n := reservations(t, objs, 7990, 8020); n != 1 {
		t.Fatalf("%d ports reserved, want 1", n)
	}
	check(t, d.Unpublish(held))
	wide, err = d.Publish(wide, nil)
	check(t, err)
	if got, err = d.Publishes(); err != nil || len(got) != 1 || got[0] != wide {
		t.Fatalf("published range reads back as %v (%v), want %v", got, err, wide)
	}
	check(t, d.Unpublish(wide))
	check(t, d.Unpublish(wide)) // twice is no error
	if n := reservations(t, objs, 7990, 8020); n != 0 {
		t.Fatalf("%d ports reserved after all is gone", n)
	}
}

// reservations counts them over a range of TCP ports.
func reservations(t *testing.T, objs *bpf.EbnetObjects, first, last uint32) int {
	t.Helper()
	sum := 0
	for port := first; port <= last; port++ {
		var n uint32
		check(t, objs.Reserved.Lookup(port, &n))
		sum += int(n)
	}
	return sum
}

func TestPublishLastPort(t *testing.T) {
	d, _ := open(t)
	p := datapath.Publish{
		Proto: datapath.UDP, Host: ip("::"), HostPort: 65530, HostPortEnd: 65535, Target: ip("fd00::2"), Port: 65530,
	}
	p, err := d.Publish(p, nil)
	check(t, err)
	got, err := d.Publishes()
	check(t, err)
	if len(got) != 1 || got[0] != p {
		t.Fatalf("read back %v, want %v", got, p)
	}
	check(t, d.Unpublish(p))
}

// More ports than are read at once, of two publishes side by side, and a look at some.
func TestManyPublishesReadBack(t *testing.T) {
	d, _ := open(t)
	a := datapath.Publish{
		Proto: datapath.TCP, Host: ip("192.0.2.1"), HostPort: 10000, HostPortEnd: 19999, Target: ip("172.18.0.2"), Port: 20000,
	}
	a, err := d.Publish(a, nil)
	check(t, err)
	b := a
	b.HostPort, b.HostPortEnd, b.Port, b.Held = 20000, 20000, 80, true
	b, err = d.Publish(b, nil)
	check(t, err)
	got, err := d.Publishes()
	check(t, err)
	if len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("read back %v, want %v and %v", got, a, b)
	}
	torn, other, wide := a, a, a
	torn.HostPort, torn.HostPortEnd = 10010, 10010
	check(t, d.Unpublish(torn))
	torn.HostPort, torn.HostPortEnd = 10009, 10011
	wide.HostPort, wide.HostPortEnd = 19999, 20000
	other.Host = ip("0.0.0.0")
	at, err := d.PublishesAt([]datapath.Publish{torn, wide, wide, other})
	check(t, err)
	want := []datapath.Publish{torn, torn, wide, b}
	want[0].HostPortEnd, want[0].Port = 10009, 20009
	want[1].HostPort, want[1].Port = 10011, 20011
	want[2].HostPortEnd, want[2].Port = 19999, 29999
	if !slices.Equal(at, want) {
		t.Errorf("looked at\n%+v, want\n%+v", at, want)
	}
}

func TestEndpointsReadBack(t *testing.T) {
	d, objs := open(t)
	a, err := d.PutEndpoint(datapath.Endpoint{Ifindex: 11, Addr4: ip("172.18.0.2"), Network: 1})
	check(t, err)
	b, err := d.PutEndpoint(datapath.Endpoint{Ifindex: 12, Addr4: ip("172.18.0.3"), Addr6: ip("fd00::3"), Network: 1})
	check(t, err)
	again, err := d.PutEndpoint(datapath.Endpoint{Ifindex: 11, Addr4: ip("172.18.0.2"), Network: 1})
	check(t, err)
	if again != a || a.Slot == b.Slot {
		t.Fatalf("put again gives %+v, first gave %+v, another %+v", again, a, b)
	}
	// a second agent finds them, and gives no slot twice
	d2, err := datapath.Open(&objs.EbnetMaps, objs.EbnetSweep)
	check(t, err)
	got, err := d2.Endpoints()
	check(t, err)
	if len(got) != 2 || got[0] != a || got[1] != b {
		t.Fatalf("read back %+v, want %+v and %+v", got, a, b)
	}
	c, err := d2.PutEndpoint(datapath.Endpoint{Ifindex: 13, Addr4: ip("172.18.0.4"), Network: 1})
	check(t, err)
	if c.Slot == a.Slot || c.Slot == b.Slot {
		t.Fatalf("slot %d is given twice", c.Slot)
	}
	// an address that moves to another device stays when the old one goes
	moved, err := d2.PutEndpoint(datapath.Endpoint{Ifindex: 14, Addr4: ip("172.18.0.2"), Network: 1})
	check(t, err)
	check(t, d2.DeleteEndpoint(11))
	var at bpf.EbnetEndpoint
	if err := objs.Devices.Lookup(uint32(14), &at); err != nil || at.Slot != moved.Slot {
		t.Fatalf("device 14 is %+v (%v), want slot %d", at, err, moved.Slot)
	}
	if err := objs.Endpoints.Lookup(at.Addr4, &at); err != nil || at.Ifindex != 14 {
		t.Fatalf("172.18.0.2 is at device %d (%v), want 14", at.Ifindex, err)
	}
	check(t, d2.DeleteEndpoint(99)) // unknown is no error
}

func TestNetworksReadBack(t *testing.T) {
	d, _ := open(t)
	want := datapath.Network{Index: 7, Bridge: 3, Gateway4: ip("172.18.0.1"), Masquerade: true, ICC: true}
	check(t, d.PutNetwork(want))
	got, err := d.Networks()
	check(t, err)
	if len(got) != 1 || got[0] != want {
		t.Fatalf("read back %+v, want %+v", got, want)
	}
	check(t, d.DeleteNetwork(7))
	if got, err = d.Networks(); err != nil || len(got) != 0 {
		t.Fatalf("after delete: %+v (%v)", got, err)
	}
}

func TestHostAddrsAreReplaced(t *testing.T) {
	d, objs := open(t)
	check(t, d.SetHostAddrs([]datapath.HostAddr{{Addr: ip("10.0.0.1"), Uplink: true}, {Addr: ip("fd00::1")}}))
	check(t, d.SetHostAddrs([]datapath.HostAddr{{Addr: ip("10.0.0.1"), Gateway: true}}))
	var (
		k     bpf.EbnetAddr
		flags uint32
		n     int
	)
	it := objs.HostAddrs.Iterate()
	for it.Next(&k, &flags) {
		n++
	}
	check(t, it.Err())
	if n != 1 || flags != uint32(bpf.EbnetHostAddrFlagHOST_ADDR_GATEWAY) {
		t.Fatalf("%d addresses, flags %d; want one, a gateway", n, flags)
	}
}

func TestSourceListsReadBack(t *testing.T) {
	d, objs := open(t)
	p := datapath.Publish{
		Proto: datapath.TCP, Host: ip("0.0.0.0"), HostPort: 80, HostPortEnd: 80, Target: ip("172.18.0.2"), Port: 80,
	}
	want := []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
		netip.MustParsePrefix("::/0"), netip.MustParsePrefix("fd00::/8"),
	}
	p, err := d.Publish(p, []netip.Prefix{want[3], netip.MustParsePrefix("10.1.2.3/8"), want[1], want[0], want[2]})
	check(t, err)
	d2, err := datapath.Open(&objs.EbnetMaps, objs.EbnetSweep)
	check(t, err)
	got, err := d2.Allowed(p.Slot)
	check(t, err)
	if !slices.Equal(got, want) {
		t.Fatalf("source list reads back as %v, want %v", got, want)
	}
	check(t, d2.SetAllowed(p.Slot, nil))
	if got, err = d2.Allowed(p.Slot); err != nil || len(got) != 0 {
		t.Fatalf("source list after it was taken away: %v (%v)", got, err)
	}
	check(t, d2.SetAllowed(p.Slot, want))
	check(t, d2.Unpublish(p))
	if n, err := usageOf(d2, "prefixes"); err != nil || n != 0 {
		t.Fatalf("%d prefixes left (%v) after all is unpublished", n, err)
	}
}

func usageOf(d *datapath.Datapath, name string) (int, error) {
	all, err := d.MapUsage()
	for _, u := range all {
		if u.Name == name {
			return u.Entries, err
		}
	}
	return -1, err
}

// Ports that an engine's own sockets hold are refused to nobody, and what is
// refused for other publishes is counted right beside them.
func TestHeldPortsAreNotReserved(t *testing.T) {
	d, objs := open(t)
	held := datapath.Publish{Proto: datapath.TCP, Host: ip("0.0.0.0"), HostPort: 8080, HostPortEnd: 8081, Target: ip("172.18.0.2"), Port: 80, Held: true}
	own := held
	own.Host, own.Held = ip("192.0.2.1"), false
	for _, p := range []datapath.Publish{held, own} {
		_, err := d.Publish(p, nil)
		check(t, err)
	}
	if n := reservations(t, objs, 8000, 8100); n != 2 {
		t.Errorf("%d ports reserved, want those of the publish that nobody holds", n)
	}
	all, err := d.Publishes()
	check(t, err)
	if len(all) != 2 || !all[0].Held || all[1].Held {
		t.Errorf("read back: %+v", all)
	}
	held.Held = false // who unpublishes need not know
	check(t, d.Unpublish(held))
	if n := reservations(t, objs, 8000, 8100); n != 2 {
		t.Errorf("%d ports reserved after the held ones went", n)
	}
	check(t, d.Unpublish(own))
	if n := reservations(t, objs, 8000, 8100); n != 0 {
		t.Errorf("%d ports still reserved", n)
	}
}
