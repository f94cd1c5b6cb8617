package bpf_test

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
)

// The addresses and ports to draw from.
var (
	modelOutside = []string{outside, router, neighbor}
	modelHosts   = []string{hostIP, hostIP, hostIP, hostIP2, gateway, "172.19.0.1"}
	modelStrange = []string{"127.0.0.1", "0.0.0.0", "224.0.0.251", "172.18.255.255"}
	modelSources = []uint16{5000, 5000, 5001, 5002, 5003, 8080, 53, 700, 443, 61000}
	modelServers = []uint16{80, 443, 53, 8080, 8081, 5000}
)

// container is most often one of those that have a neighbour.
func (d *modelDraw) container() *modelContainer {
	return d.m.named(draw(d, []string{"A", "A", "B", "B", "C", "D", "E", "F"}))
}

// address is any address that there is, or one that there should not be.
func (d *modelDraw) address() string {
	switch d.IntN(8) {
	case 0, 1, 2:
		return d.container().addr.String()
	case 3, 4:
		return draw(d, modelHosts)
	case 5:
		return draw(d, modelStrange)
	}
	return draw(d, modelOutside)
}

func (d *modelDraw) place() string {
	switch d.IntN(20) {
	case 0, 1, 2, 3, 4, 5, 6:
		return outsideWorld
	case 7, 8, 9:
		return hostItself
	case 10:
		return kernelItself
	}
	return d.container().name
}

// elsewhere is any place; the host sends in nobody else's name.
func (d *modelDraw) elsewhere(src string) string {
	from := d.place()
	if _, isHost := d.m.host[netip.MustParseAddrPort(src).Addr()]; from == hostItself && !isHost {
		return outsideWorld
	}
	return from
}

// fromPools is a packet that has nothing to do with any flow but by chance.
func (d *modelDraw) fromPools(from string) packet {
	src, dst := d.address(), d.address()
	for ip(dst).IsUnspecified() { // is nobody's address, and no route's matter
		dst = d.address()
	}
	switch c := d.m.named(from); {
	case c != nil:
		if !d.one(15) {
			src = c.addr.String()
		}
		if d.one(2) {
			dst = draw(d, modelOutside)
		}
	case from == outsideWorld:
		if !d.one(12) {
			src = draw(d, modelOutside)
		}
		if !d.one(6) {
			dst = draw(d, modelHosts)
		}
	case from == hostItself:
		src, dst = draw(d, modelHosts[:4]), draw(d, modelOutside)
	}
	if pub := d.published(); pub != nil && from != hostItself && d.one(3) {
		return d.toPublished(src, pub)
	}
	return d.ofProtocol(src, dst)
}

// published is any of the publishes; nil where there is none.
func (d *modelDraw) published() *modelPublish {
	all := slices.SortedFunc(maps.Values(d.m.publishes), func(a, b *modelPublish) int {
		return cmp.Or(a.at.Compare(b.at.AddrPort), cmp.Compare(a.at.proto, b.at.proto))
	})
	if len(all) == 0 {
		return nil
	}
	return draw(d, all)
}

func (d *modelDraw) toPublished(src string, pub *modelPublish) packet {
	dst := pub.at.Addr()
	if dst.IsUnspecified() {
		dst = ip(draw(d, modelHosts))
	}
	return packet{
		src: netip.AddrPortFrom(ip(src), draw(d, modelSources)).String(),
		dst: netip.AddrPortFrom(dst, pub.at.Port()).String(), proto: pub.at.proto, tcp: syn,
	}
}

func (d *modelDraw) ofProtocol(src, dst string) packet {
	join := func(addr string, port uint16) string {
		return netip.AddrPortFrom(ip(addr), port).String()
	}
	sport, dport := draw(d, modelSources), draw(d, modelServers)
	if d.one(3) {
		sport, dport = dport, sport
	}
	p := packet{src: join(src, sport), dst: join(dst, dport)}
	switch n := d.IntN(40); {
	case n < 15:
		p.proto, p.tcp = tcp, d.flags()
	case n < 31:
		p.proto = udp
	case n < 36:
		p.proto = icmp
		if p.dst = join(dst, 0); d.one(3) {
			p.src, p.dst = join(src, 0), join(dst, dport)
		}
	default:
		return d.strange(join(src, 0), join(dst, 0))
	}
	return p
}

// strange is what is not translated.
func (d *modelDraw) strange(src, dst string) packet {
	p := packet{src: src, dst: dst, proto: icmp, raw: true, payload: d.bytes(8 + d.IntN(20))}
	switch d.IntN(5) {
	case 0:
		p.proto = gre
	case 1:
		p.proto, p.payload = tcp, d.bytes(d.IntN(20)) // cut short
	case 2:
		p.kind = draw(d, (&host{six: d.m.six}).errors()) // an error about no packet at all
		p.payload = string(p.kind[:]) + p.payload[2:]
	default:
		other := []byte{5, 9, 13, 17} // redirect, advertisement, timestamp, mask
		if d.m.six {
			other = []byte{134, 135, 137, 139}
		}
		p.payload = string([]byte{draw(d, other)}) + p.payload[1:]
	}
	return p
}

// flags are TCP's: mostly such as connections have.
func (d *modelDraw) flags() uint8 {
	return draw(d, []uint8{syn, syn, syn, syn, syn | ack, syn | ack, ack, ack, ack, ack, fin | ack, fin | ack, fin | ack, rst, rst | ack, fin, 0, syn | fin})
}

// adorn gives a packet whatever does not matter to where it goes, and the TTL that may.
func (d *modelDraw) adorn(p *packet) {
	if !p.raw && p.about == nil {
		p.payload = d.bytes(d.IntN(40))
		if d.one(120) {
			p.payload = d.bytes(1600)
		}
	}
	p.ttl = draw(d, []uint8{64, 64, 64, 64, 128, 255, 3, 2})
	if d.one(30) {
		p.ttl = 1
	}
	p.options = d.options()
	p.noChecksum = p.proto == udp && d.one(20)
	if d.one(8) {
		p.fragment = 0x4000 // do not fragment; in IPv6 a fragment that is all of its datagram
	}
}

// options are how many words of them, mostly none.
func (d *modelDraw) options() int {
	if !d.one(8) {
		return 0
	}
	return 1 + d.IntN(10)
}

func (d *modelDraw) bytes(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(d.Uint32())
	}
	return string(b)
}
