package datapath_test

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// TestOpenFinishes: what an agent that died between two writes has left is completed by the
// next one, for both families.
func TestOpenFinishes(t *testing.T) {
	d, objs := open(t)
	ep := datapath.Endpoint{Addr4: ip("172.18.0.2"), Addr6: ip("fd00::2"), Ifindex: 7, Network: 1, Sandbox: 9}
	_, err := d.PutEndpoint(ep)
	check(t, err)
	for _, host := range []string{"0.0.0.0", "::"} {
		_, err := d.Publish(datapath.Publish{
			Proto: datapath.TCP, Host: ip(host), HostPort: 8080, HostPortEnd: 8081, Target: ep.Addr4, Port: 80,
		}, nil)
		check(t, err)
	}
	addrs := all[bpf.EbnetAddr, bpf.EbnetEndpoint](t, objs.Endpoints)
	if n := reservations(t, objs, 8080, 8081); len(addrs) != 2 || n != 4 {
		t.Fatalf("addresses %v, %d ports reserved", addrs, n)
	}
	for a := range addrs {
		check(t, objs.Endpoints.Delete(a))
	}
	check(t, objs.Sandboxes.Delete(ep.Sandbox))
	check(t, objs.Reserved.Put(uint32(8080), uint32(0)))
	check(t, objs.Reserved.Put(uint32(8082), uint32(1)))
	_, err = datapath.Open(&objs.EbnetMaps, objs.EbnetSweep)
	check(t, err)
	if got := all[bpf.EbnetAddr, bpf.EbnetEndpoint](t, objs.Endpoints); len(got) != 2 {
		t.Errorf("addresses %v", got)
	}
	if got := all[uint64, bpf.EbnetSandbox](t, objs.Sandboxes); len(got) != 1 {
		t.Errorf("sandboxes %v", got)
	}
	for port, want := range map[uint32]int{8080: 2, 8081: 2, 8082: 0} {
		if n := reservations(t, objs, port, port); n != want {
			t.Errorf("port %d is reserved %d times, want %d", port, n, want)
		}
	}
	// One whose deletion had begun does not come back.
	var raw bpf.EbnetEndpoint
	check(t, objs.Devices.Lookup(ep.Ifindex, &raw))
	check(t, objs.Slots.Put(raw.Slot, bpf.EbnetSlot{Gen: raw.Gen + 1}))
	for a := range addrs {
		check(t, objs.Endpoints.Delete(a))
	}
	_, err = datapath.Open(&objs.EbnetMaps, objs.EbnetSweep)
	check(t, err)
	if got := all[bpf.EbnetAddr, bpf.EbnetEndpoint](t, objs.Endpoints); len(got) != 0 {
		t.Errorf("addresses of an endpoint that was being deleted: %v", got)
	}
}

// all reads a map.
func all[K comparable, V any](t *testing.T, m *ebpf.Map) map[K]V {
	t.Helper()
	out := map[K]V{}
	var k K
	var v V
	it := m.Iterate()
	for it.Next(&k, &v) {
		out[k] = v
	}
	check(t, it.Err())
	return out
}
