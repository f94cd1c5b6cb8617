package control

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ebnet/ebnet/control/engine"
)

// UnservedIPv6 are the sentences about an engine's networks that have IPv6 subnets.
func UnservedIPv6(world engine.World) []string {
	var out []string
	for _, n := range world.Networks {
		if why := unserved6(n); why != "" {
			out = append(out, why)
		}
	}
	return out
}

// unserved6 says what people have to know of a network with IPv6 subnets; empty: it has
// none.
func unserved6(n engine.Network) string {
	subnets := subnets6(n)
	if len(subnets) == 0 {
		return ""
	}
	return fmt.Sprintf("Docker's network %s has %s, and ebnet does not serve IPv6 of Docker's yet: "+
		"without Docker's ip6tables its containers are reached from outside by their own addresses",
		n.Name, joinPrefixes(subnets))
}

// unserved6Name is what a refusal of a network's IPv6 is about; its IPv4 is served.
func unserved6Name(n engine.Network) string { return engineName(ownerDocker, n.Name) + " IPv6" }

func subnets6(n engine.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range n.Subnets {
		if s.Prefix.Addr().Is6() {
			out = append(out, s.Prefix)
		}
	}
	return out
}

func joinPrefixes(prefixes []netip.Prefix) string {
	var out []string
	for _, p := range prefixes {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}
