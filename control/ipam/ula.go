package ipam

import (
	"math/rand/v2"
	"net/netip"
)

// ulaPool is where local IPv6 prefixes come from: fd00::/8 in parts of /48, each of them
// with 40 random bits (RFC 4193).
func ulaPool() Pool {
	return Pool{Base: netip.MustParsePrefix("fd00::/8"), Bits: 48}
}

// ChooseULA returns the first /64 of a random unique local IPv6 prefix (RFC 4193) that
// overlaps none of used, or ErrNoSubnet.
func ChooseULA(r *rand.Rand, used []netip.Prefix) (netip.Prefix, error) {
	site, err := ChooseSubnet(r, []Pool{ulaPool()}, used)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(site.Addr(), 64), nil
}
