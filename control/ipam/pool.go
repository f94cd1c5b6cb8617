package ipam

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Pool is a prefix from which subnets of one size are cut.
type Pool struct {
	Base netip.Prefix
	Bits int // prefix length of each subnet
}

// DefaultPools are the pools that Docker uses when nobody configures any:
// 172.17.0.0/16 to 172.31.0.0/16, and 192.168.0.0/16 in parts of /20.
func DefaultPools() []Pool {
	pools := make([]Pool, 0, 16)
	for second := byte(17); second <= 31; second++ {
		pools = append(pools, Pool{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, second}), 16), 16})
	}
	return append(pools, Pool{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168}), 16), 20})
}

// ChooseSubnet returns a subnet of the pools that overlaps none of used, each
// of the free ones with the same probability, or ErrNoSubnet. A prefix of
// length 0 or 1 in used is passed over: it is a default route, whole or in the
// two halves that VPN clients lay over one, and says nothing about what is used.
func ChooseSubnet(r *rand.Rand, pools []Pool, used []netip.Prefix) (netip.Prefix, error) {
	var total uint64
	free := make([][]span, len(pools))
	for i, p := range pools {
		if err := p.check(); err != nil {
			return netip.Prefix{}, err
		}
		free[i] = p.free(used)
		for _, s := range free[i] {
			total += s.end - s.start
		}
	}
	if total == 0 {
		return netip.Prefix{}, ErrNoSubnet
	}
	n := r.Uint64N(total)
	for i, p := range pools {
		for _, s := range free[i] {
			if n < s.end-s.start {
				return p.subnet(s.start + n), nil
			}
			n -= s.end - s.start
		}
	}
	panic("ipam: free subnets counted wrongly")
}

// span is a run of subnets of one pool by number, end excluded.
type span struct{ start, end uint64 }

// maxSubnetBits keeps the number of a pool's subnets, and the sum over many
// pools, within 64 bits.
const maxSubnetBits = 48

func (p Pool) check() error {
	if !p.Base.IsValid() || p.Base.Addr().Is4In6() || p.Bits < p.Base.Bits() ||
		p.Bits > p.Base.Addr().BitLen() || p.Bits-p.Base.Bits() > maxSubnetBits || p.Bits > 64 {
		return fmt.Errorf("pool %s in subnets of /%d: %w", p.Base, p.Bits, ErrSubnet)
	}
	return nil
}

// free returns the runs of the pool's subnets that overlap none of used.
func (p Pool) free(used []netip.Prefix) []span {
	var taken []span
	for _, u := range used {
		if s, ok := p.covered(u); ok {
			taken = append(taken, s)
		}
	}
	slices.SortFunc(taken, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var free []span
	next := uint64(0)
	for _, t := range taken {
		if t.start > next {
			free = append(free, span{next, t.start})
		}
		next = max(next, t.end)
	}
	if end := uint64(1) << (p.Bits - p.Base.Bits()); next < end {
		free = append(free, span{next, end})
	}
	return free
}

// covered returns which of the pool's subnets u overlaps.
func (p Pool) covered(u netip.Prefix) (span, bool) {
	u = unmap(u)
	if !u.IsValid() || u.Bits() <= 1 || !u.Overlaps(p.Base) {
		return span{}, false
	}
	if u.Bits() <= p.Base.Bits() {
		return span{0, 1 << (p.Bits - p.Base.Bits())}, true
	}
	start := p.number(u.Addr())
	if u.Bits() >= p.Bits {
		return span{start, start + 1}, true
	}
	return span{start, start + 1<<(p.Bits-u.Bits())}, true
}

// number says in which of the pool's subnets an address of the pool is.
func (p Pool) number(addr netip.Addr) uint64 {
	return (top(addr) - top(p.Base.Masked().Addr())) >> p.shift()
}

func (p Pool) subnet(n uint64) netip.Prefix {
	bits := top(p.Base.Masked().Addr()) + n<<p.shift()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], bits)
	addr := netip.AddrFrom16(b)
	if p.Base.Addr().Is4() {
		addr = netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.PrefixFrom(addr, p.Bits)
}

// shift is how far a subnet's number stands to the left in top.
func (p Pool) shift() int { return 64 - p.Bits }

// top returns the first 64 bits of an address; IPv4 stands in the first 32.
func top(addr netip.Addr) uint64 {
	if addr.Is4() {
		b := addr.As4()
		return uint64(binary.BigEndian.Uint32(b[:])) << 32
	}
	b := addr.As16()
	return binary.BigEndian.Uint64(b[:8])
}

// unmap turns an IPv4 prefix that is written as IPv6 into itself, and clears host bits.
func unmap(p netip.Prefix) netip.Prefix {
	if p.IsValid() && p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}
