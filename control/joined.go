package control

import (
	"net/netip"
	"strings"
)

func joinPrefixes(prefixes []netip.Prefix) string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// joinAddrs is joinPrefixes without the lengths.
func joinAddrs(prefixes []netip.Prefix) string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.Addr().String())
	}
	return strings.Join(out, ", ")
}
