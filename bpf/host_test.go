package bpf_test

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// What TC does with a packet.
const (
	pass     = -1
	shot     = 2
	redirect = 7
)

// host is a network namespace with an uplink, three containers' devices and
// the programs and maps of one agent. It is the calling thread's.
type host struct {
	t    *testing.T
	objs bpf.EbnetObjects
	dp   *datapath.Datapath

	ext, ctrA, ctrB, ctrC *net.Interface

	six bool // addresses in packets and arguments stand for IPv6 ones: see at()
}

var fibMAC = [6]byte{2, 0, 0, 0, 0xf1, 0xb0}

const (
	hostIP   = "203.0.113.1"
	gateway  = "172.18.0.1"
	addrA    = "172.18.0.2"
	addrB    = "172.18.0.3"
	addrC    = "172.19.0.2" // on another network
	outside  = "198.51.100.7"
	neighbor = "203.0.113.9"
)

// overFamilies runs a test with IPv4 and, its addresses replaced, with IPv6.
func overFamilies(t *testing.T, test func(*testing.T, *host)) {
	t.Helper()
	for name, six := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			if h.six = six; six {
				h.seed()
			}
			test(t, h)
		})
	}
}

// at is an IPv4 address, or what stands for it in IPv6.
func (h *host) at(s string) netip.Addr {
	a := ip(s)
	switch {
	case !h.six || !a.Is4():
		return a
	case a.IsUnspecified():
		return netip.IPv6Unspecified()
	case a.IsLoopback():
		return netip.IPv6Loopback()
	case a.IsMulticast(), a == ip("255.255.255.255"):
		return netip.IPv6LinkLocalAllNodes()
	}
	return ip("2001:db8::" + s)
}

// prefix is one of such addresses; one that says its family is left.
func (h *host) prefix(s string) netip.Prefix {
	p := netip.MustParsePrefix(s)
	if !h.six || p.Addr().Is6() || p.Bits() == 0 {
		return p
	}
	return netip.PrefixFrom(h.at(p.Addr().String()), 96+p.Bits())
}

// port is ADDR:PORT with that address.
func (h *host) port(s string) string {
	p := netip.MustParseAddrPort(s)
	return netip.AddrPortFrom(h.at(p.Addr().String()), p.Port()).String()
}

// wire is the packet with those addresses.
func (h *host) wire(p packet) packet {
	p.src, p.dst = h.port(p.src), h.port(p.dst)
	if h.six && p.proto == icmp {
		p.proto = icmp6
	}
	if h.six && p.fragment == dontFragment {
		p.fragment = 0 // as ever
	}
	if p.about != nil {
		about := h.wire(*p.about)
		p.about = &about
	}
	return p
}

// newHost makes the namespace on this thread, which the test never gives back.
func newHost(t *testing.T) *host {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread() // thrown away with its namespace when the test ends
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{
		"link set lo up",
		"link add ext type veth peer name extp", "link add ctra type veth peer name ctrap",
		"link add ctrb type veth peer name ctrbp", "link add ctrc type veth peer name ctrcp",
		"link add fib type veth peer name fibp",
		"addr add " + hostIP + "/24 dev ext", "link set ext up", "link set extp up",
		"link set fib up", "link set fibp up",
		"route add default via " + neighbor + " dev ext",
		"neigh add " + neighbor + " lladdr 02:00:00:00:00:09 dev ext",
		"addr add 2001:db8::" + hostIP + "/120 dev ext nodad",
		"route add default via 2001:db8::" + neighbor + " dev ext",
		"neigh add 2001:db8::" + neighbor + " lladdr 02:00:00:00:00:09 dev ext",
	} {
		if out, err := exec.Command("ip", strings.Fields(cmd)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", cmd, err, out)
		}
	}
	// /proc/sys/net is that of the thread that opens it
	for _, family := range []string{"ipv4", "ipv6"} {
		if err := os.WriteFile("/proc/sys/net/"+family+"/conf/fib/forwarding", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	h := &host{t: t, ext: device(t, "ext"), ctrA: device(t, "ctra"), ctrB: device(t, "ctrb"), ctrC: device(t, "ctrc")}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	if err := bpf.LoadEbnetObjects(&h.objs, nil); err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { h.objs.Close() })
	h.seed()
	return h
}

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

func device(t *testing.T, name string) *net.Interface {
	t.Helper()
	dev, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func (h *host) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// seed fills the maps as an agent would.
func (h *host) seed() {
	h.t.Helper()
	dp, err := datapath.Open(&h.objs.EbnetMaps, h.objs.EbnetSweep)
	h.check(err)
	h.dp = dp
	settings := datapath.DefaultSettings()
	settings.FIBIfindex = uint32(device(h.t, "fib").Index)
	settings.FIBMAC = fibMAC
	h.check(dp.SetSettings(settings))
	h.network(datapath.Network{Index: 1, Bridge: 100, Masquerade: true, ICC: true}, gateway)
	h.network(datapath.Network{Index: 2, Bridge: 101, Masquerade: true, ICC: true}, "172.19.0.1")
	h.endpoint(h.ctrA, addrA, 1)
	h.endpoint(h.ctrB, addrB, 1)
	h.endpoint(h.ctrC, addrC, 2)
	uplink := datapath.Uplink{Ifindex: uint32(h.ext.Index)}
	if h.six {
		uplink.Addr6 = h.at(hostIP)
	} else {
		uplink.Addr4 = h.at(hostIP)
	}
	h.check(dp.SetUplinks([]datapath.Uplink{uplink}))
	h.check(dp.SetHostAddrs([]datapath.HostAddr{{Addr: h.at(hostIP), Uplink: true}, {Addr: h.at(gateway), Gateway: true}}))
}

func (h *host) network(n datapath.Network, gateway string) {
	h.t.Helper()
	if h.six {
		n.Gateway6 = h.at(gateway)
	} else {
		n.Gateway4 = h.at(gateway)
	}
	h.check(h.dp.PutNetwork(n))
}

func (h *host) endpoint(dev *net.Interface, addr string, network uint16) datapath.Endpoint {
	h.t.Helper()
	return h.sibling(dev.Index, addr, network, 0)
}

// sibling makes a device one of a sandbox's.
func (h *host) sibling(ifindex int, addr string, network uint16, sandbox uint64) datapath.Endpoint {
	h.t.Helper()
	ep := datapath.Endpoint{Ifindex: uint32(ifindex), Network: network, Sandbox: sandbox}
	if h.six {
		ep.Addr6 = h.at(addr)
	} else {
		ep.Addr4 = h.at(addr)
	}
	ep, err := h.dp.PutEndpoint(ep)
	h.check(err)
	return ep
}

func (h *host) publish(proto datapath.Proto, hostAddr string, port uint16, target string, targetPort uint16) datapath.Publish {
	h.t.Helper()
	p, err := h.dp.Publish(datapath.Publish{
		Proto: proto, Host: h.at(hostAddr), HostPort: port, HostPortEnd: port, Target: h.at(target), Port: targetPort,
	}, nil)
	h.check(err)
	return p
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// skbContext is the start of the kernel's struct __sk_buff.
type skbContext struct {
	Len, PktType, Mark, QueueMapping, Protocol, VlanPresent, VlanTCI, VlanProto, Priority uint32
	IngressIfindex, Ifindex                                                               uint32
	_                                                                                     [192 - 44]byte
}

// run gives one packet to one program, as if it came to this device.
func (h *host) run(prog *ebpf.Program, dev *net.Interface, in packet) (verdict int, out []byte) {
	h.t.Helper()
	if in.ethDst == nil {
		in.ethDst = dev.HardwareAddr
	}
	return h.runBytes(prog, dev, h.wire(in).bytes())
}

func (h *host) runBytes(prog *ebpf.Program, dev *net.Interface, data []byte) (verdict int, out []byte) {
	h.t.Helper()
	ctx := skbContext{Ifindex: uint32(dev.Index)}
	out = make([]byte, len(data)+64)
	opts := ebpf.RunOptions{Data: data, DataOut: out, Context: &ctx}
	ret, err := prog.Run(&opts)
	if err != nil {
		h.t.Fatalf("%x: %v", data, err)
	}
	return int(int32(ret)), opts.DataOut
}

// step is one packet's way through one program.
type step struct {
	name    string
	prog    *ebpf.Program
	dev     *net.Interface
	in      packet
	verdict int
	out     packet // zero: as it came in
	drop    datapath.DropReason
}

// walk runs steps one after the other and compares whole packets and drops.
func (h *host) walk(steps ...step) {
	h.t.Helper()
	for _, s := range steps {
		before := h.drops()
		verdict, got := h.run(s.prog, s.dev, s.in)
		if verdict != s.verdict {
			h.t.Fatalf("%s: verdict %d, want %d (drops %v)", s.name, verdict, s.verdict, h.newDrops(before))
		}
		if s.out.src == "" {
			s.out = s.in
		} else {
			s.out = merge(s.in, s.out)
		}
		if s.out.ethDst = s.dev.HardwareAddr; s.in.ethDst != nil {
			s.out.ethDst = s.in.ethDst
		}
		want := h.wire(s.out).bytes()
		if bytes.HasPrefix(got, h.nextHop()) {
			copy(got, want[:14]) // whether it is known is TestNextHop's matter
		}
		if verdict != shot && !bytes.Equal(got, want) {
			h.t.Fatalf("%s: packet\n got %x\nwant %x", s.name, got, want)
		}
		fresh := h.newDrops(before)
		if verdict == shot && (len(fresh) != 1 || fresh[s.drop] != 1) {
			h.t.Fatalf("%s: drops %v, want one of %v", s.name, fresh, s.drop)
		}
		if verdict != shot && len(fresh) != 0 {
			h.t.Fatalf("%s: drops %v, want none", s.name, fresh)
		}
	}
}

// nextHop is the link header towards the neighbour that all outside lies behind.
func (h *host) nextHop() []byte {
	return append([]byte{2, 0, 0, 0, 0, 9}, h.ext.HardwareAddr...)
}

// merge is in with out's addresses, and one hop less unless out says otherwise.
func merge(in, out packet) packet {
	in.src, in.dst, in.about = out.src, out.dst, out.about
	if out.raw {
		in.payload = out.payload
	}
	if in.ttl == 0 {
		in.ttl = 64
	}
	if in.ttl--; out.ttl != 0 {
		in.ttl = out.ttl
	}
	return in
}

func (h *host) drops() map[datapath.DropReason]uint64 {
	h.t.Helper()
	all, err := h.dp.Drops()
	h.check(err)
	sum := map[datapath.DropReason]uint64{}
	for _, d := range all {
		sum[d.Reason] += d.Packets
	}
	return sum
}

func (h *host) newDrops(before map[datapath.DropReason]uint64) map[datapath.DropReason]uint64 {
	h.t.Helper()
	fresh := map[datapath.DropReason]uint64{}
	for r, n := range h.drops() {
		if n != before[r] {
			fresh[r] = n - before[r]
		}
	}
	return fresh
}

func (h *host) flows() []datapath.Flow {
	h.t.Helper()
	var out []datapath.Flow
	for f, err := range h.dp.Flows() {
		h.check(err)
		out = append(out, f)
	}
	return out
}

// plain is ADDR:PORT as tests write it, in IPv4.
func (h *host) plain(p netip.AddrPort) string {
	if !h.six {
		return p.String()
	}
	all := p.Addr().As16()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(all[12:])), p.Port()).String()
}
