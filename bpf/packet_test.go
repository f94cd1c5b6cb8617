package bpf_test

import (
	"cmp"
	"encoding/binary"
	"net"
	"net/netip"
)

// packet describes one packet of either family; bytes() makes it, checksums included.
type packet struct {
	src, dst   string // ADDR:PORT, for echo ADDR:ID and ADDR:0
	proto      uint8
	tcp        uint8  // TCP flags
	ttl        uint8  // 0: 64
	fragment   uint16 // IPv4's flags and offset
	id         uint16 // of a datagram; 0: 0x1234
	options    int    // 32-bit words of IP options, or in IPv6 8-byte words of an extension header
	payload    string
	noChecksum bool // UDP without a checksum
	raw        bool // payload is all there is behind the IP header
	ethDst     net.HardwareAddr

	// an ICMP error, about a packet of which quote bytes are quoted behind the IP header
	about *packet
	kind  [2]uint8 // type and code
	quote int
}

const dontFragment = 0x4000

const (
	icmp  = 1
	tcp   = 6
	udp   = 17
	icmp6 = 58

	fin = 1
	syn = 2
	rst = 4
	ack = 16
)

func tcpPacket(src, dst string, flags uint8) packet {
	return packet{src: src, dst: dst, proto: tcp, tcp: flags, payload: "tcp payload"}
}

func udpPacket(src, dst string) packet {
	return packet{src: src, dst: dst, proto: udp, payload: "odd"}
}

func echoPacket(src, dst string) packet {
	return packet{src: src, dst: dst, proto: icmp, payload: "ping"}
}

// errorPacket is an ICMP error about a packet of which some bytes are quoted.
func errorPacket(src, dst string, kind [2]uint8, about packet, quote int) packet {
	return packet{src: src + ":0", dst: dst + ":0", proto: icmp, kind: kind, about: &about, quote: quote}
}

func (p packet) ends() (src, dst netip.AddrPort) {
	return netip.MustParseAddrPort(p.src), netip.MustParseAddrPort(p.dst)
}

// bytes is the packet as it lies on the wire, Ethernet header included.
func (p packet) bytes() []byte {
	src, dst := p.ends()
	l4 := p.l4(src, dst)
	if src.Addr().Is6() {
		return p.bytes6(src, dst, l4)
	}
	ihl := 20 + 4*p.options
	b := make([]byte, 14+ihl, 14+ihl+len(l4))
	copy(b, p.ethDst)
	copy(b[6:], net.HardwareAddr{2, 0, 0, 0, 0, 9})
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	ip := b[14:]
	ip[0] = 0x40 | uint8(ihl/4)
	ip[1] = 0xb9 // DSCP and ECN are nobody's business
	binary.BigEndian.PutUint16(ip[2:], uint16(ihl+len(l4)))
	binary.BigEndian.PutUint16(ip[4:], cmp.Or(p.id, 0x1234))
	binary.BigEndian.PutUint16(ip[6:], p.fragment)
	if ip[8] = p.ttl; p.ttl == 0 {
		ip[8] = 64
	}
	ip[9] = p.proto
	copy(ip[12:], src.Addr().AsSlice())
	copy(ip[16:], dst.Addr().AsSlice())
	for i := 20; i < ihl; i++ {
		ip[i] = 1 // no operation
	}
	binary.BigEndian.PutUint16(ip[10:], fold(checksum(0, ip[:ihl])))
	return append(b, l4...)
}

// bytes6 is the same for IPv6 (RFC 8200).
func (p packet) bytes6(src, dst netip.AddrPort, l4 []byte) []byte {
	var extensions []byte
	next := p.proto
	if p.fragment != 0 {
		more, offset := p.fragment>>13&1, p.fragment<<3
		extensions = binary.BigEndian.AppendUint16([]byte{next, 0}, offset|more)
		extensions, next = binary.BigEndian.AppendUint32(extensions, uint32(cmp.Or(p.id, 0x1234))), 44
	}
	if p.options > 0 {
		header := make([]byte, 8*p.options)
		header[0], header[1] = next, uint8(p.options-1)
		header[2], header[3] = 1, uint8(len(header)-4) // all padding
		extensions, next = append(header, extensions...), 60
	}
	b := make([]byte, 14+40, 14+40+len(extensions)+len(l4))
	copy(b, p.ethDst)
	copy(b[6:], net.HardwareAddr{2, 0, 0, 0, 0, 9})
	binary.BigEndian.PutUint16(b[12:], 0x86dd)
	ip := b[14:]
	binary.BigEndian.PutUint32(ip, 0x6b912345) // traffic class and flow label are nobody's business
	binary.BigEndian.PutUint16(ip[4:], uint16(len(extensions)+len(l4)))
	ip[6] = next
	if ip[7] = p.ttl; p.ttl == 0 {
		ip[7] = 64
	}
	copy(ip[8:], src.Addr().AsSlice())
	copy(ip[24:], dst.Addr().AsSlice())
	return append(append(b, extensions...), l4...)
}

func (p packet) l4(src, dst netip.AddrPort) []byte {
	var b []byte
	var at int // of the checksum
	if p.raw {
		return []byte(p.payload)
	}
	switch p.proto {
	case tcp:
		b, at = make([]byte, 20, 64), 16
		b[12], b[13] = 5<<4, p.tcp
		ports(b, src, dst)
	case udp:
		b, at = make([]byte, 8, 64), 6
		ports(b, src, dst)
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(p.payload)))
	case icmp, icmp6:
		if p.about != nil {
			b, at = append(p.kind[:], 0, 0, 0, 0, 0x05, 0x00), 2
			quoted := p.about.bytes()[14:]
			p.payload = string(quoted[:len(quoted)-len(p.about.l4(p.about.ends()))+p.quote])
			break
		}
		b, at = make([]byte, 8, 64), 2
		request, reply := uint8(8), uint8(0)
		if p.proto == icmp6 {
			request, reply = 128, 129
		}
		if b[0] = request; src.Port() == 0 {
			b[0] = reply
		}
		binary.BigEndian.PutUint16(b[4:], src.Port()|dst.Port())
	default:
		return []byte(p.payload)
	}
	b = append(b, p.payload...)
	if p.noChecksum {
		return b
	}
	sum := checksum(0, b)
	if p.proto != icmp {
		sum = checksum(sum, src.Addr().AsSlice())
		sum = checksum(sum, dst.Addr().AsSlice())
		sum += uint32(p.proto) + uint32(len(b))
	}
	c := fold(sum)
	if p.proto == udp && c == 0 {
		c = 0xffff // RFC 768
	}
	binary.BigEndian.PutUint16(b[at:], c)
	return b
}

func ports(b []byte, src, dst netip.AddrPort) {
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
}

// checksum adds up 16-bit words (RFC 1071).
func checksum(sum uint32, b []byte) uint32 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	if len(b)%2 == 1 {
		sum += uint32(b[len(b)-1]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
