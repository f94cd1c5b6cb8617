package ipam

import (
	"fmt"
	"net/netip"
)

// CheckSubnet says whether hosts can have the addresses of a subnet at all. It wraps
// ErrSubnet where some of them have another meaning everywhere.
func CheckSubnet(subnet netip.Prefix) error {
	for _, special := range []struct{ prefix, are string }{
		{"0.0.0.0/8", "for hosts that have no address yet"},
		{"127.0.0.0/8", "each host's own and never leave it"},
		{"169.254.0.0/16", "link-local and never routed"},
		{"224.0.0.0/4", "of groups, not of hosts"},
		{"240.0.0.0/4", "reserved, and many hosts drop them"},
		{"::/127", "each host's own and never leave it"},
		{"::ffff:0:0/96", "IPv4's, as IPv6 sockets see them"},
		{"fe80::/10", "link-local and never routed"},
		{"ff00::/8", "of groups, not of hosts"},
	} {
		if netip.MustParsePrefix(special.prefix).Overlaps(subnet) {
			return fmt.Errorf("subnet %s: %w: addresses of %s are %s", subnet, ErrSubnet, special.prefix, special.are)
		}
	}
	return nil
}
