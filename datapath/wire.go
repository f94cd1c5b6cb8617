package datapath

import (
	"encoding/binary"
	"net/netip"

	"github.com/ebnet/ebnet/bpf"
)

// The kernel's structures hold addresses and ports in network order; everything
// else in this package, and all of Go above it, has netip and host order. This
// file is the only one that turns one into the other.

// toAddr encodes an address of either family, IPv4 as v4-mapped; the zero
// netip.Addr becomes all zero, which the programs read as "none".
func toAddr(a netip.Addr) bpf.EbnetAddr {
	if !a.IsValid() {
		return bpf.EbnetAddr{}
	}
	return toAddr16(a)
}

func toAddr16(a netip.Addr) (out bpf.EbnetAddr) {
	b := a.As16()
	for i := range out.W {
		out.W[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return out
}

// fromAddr decodes an address; all zero becomes the zero netip.Addr.
func fromAddr(a bpf.EbnetAddr) netip.Addr {
	if a.W == [4]uint32{} {
		return netip.Addr{}
	}
	return fromAddr16(a).Unmap()
}

func fromAddr16(a bpf.EbnetAddr) netip.Addr {
	var b [16]byte
	for i, w := range a.W {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	return netip.AddrFrom16(b)
}

// toWord turns a number into network order, or back.
func toWord(n uint32) uint32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return binary.NativeEndian.Uint32(b[:])
}

// toPort and fromPort are the same turn of two bytes.
func toPort(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

func fromPort(p uint16) uint16 { return toPort(p) }

func fromAddrPort(a bpf.EbnetAddr, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(fromAddr(a), fromPort(port))
}

// reverse is the tuple of the answer.
func reverse(t bpf.EbnetTuple) bpf.EbnetTuple {
	t.Src, t.Dst = t.Dst, t.Src
	t.Sport, t.Dport = t.Dport, t.Sport
	return t
}
