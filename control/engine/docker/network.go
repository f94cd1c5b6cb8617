package docker

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ebnet/ebnet/control/engine"
)

const (
	optBridge      = "com.docker.network.bridge.name"
	optDefault     = "com.docker.network.bridge.default_bridge"
	optICC         = "com.docker.network.bridge.enable_icc"
	optMasquerade  = "com.docker.network.bridge.enable_ip_masquerade"
	optHostIP      = "com.docker.network.bridge.host_binding_ipv4"
	optGatewayMode = "com.docker.network.bridge.gateway_mode_ipv4"
	optMTU         = "com.docker.network.driver.mtu"
)

// readNetwork is a network in the words of package engine; ok is false unless it
// is a bridge network.
func readNetwork(reply networkReply) (network engine.Network, ok bool) {
	if reply.Driver != "bridge" {
		return engine.Network{}, false
	}
	n := engine.Network{
		ID: reply.ID, Name: reply.Name, Created: reply.Created,
		Bridge: reply.Options[optBridge], Internal: reply.Internal,
		ICC: isTrue(reply.Options[optICC], true), Masquerade: isTrue(reply.Options[optMasquerade], true),
		Options: filled(reply.Options), Labels: filled(reply.Labels),
	}
	if n.Bridge == "" {
		n.Bridge = "br-" + reply.ID[:min(12, len(reply.ID))]
	}
	switch reply.Options[optGatewayMode] {
	case "routed", "isolated":
		n.Masquerade = false
	default:
		// Without iptables, dockerd says false for its default network whatever
		// its configuration says. The connection knows better.
		n.MasqueradeUnknown = !n.Masquerade && isTrue(reply.Options[optDefault], false)
	}
	if ip, err := netip.ParseAddr(reply.Options[optHostIP]); err == nil && !ip.IsUnspecified() {
		n.HostIP = ip
	}
	if mtu, err := strconv.Atoi(reply.Options[optMTU]); err == nil {
		n.MTU = mtu
	}
	for _, config := range reply.IPAM.Config {
		if s, ok := readSubnet(config); ok {
			n.Subnets = append(n.Subnets, s)
		}
	}
	slices.SortFunc(n.Subnets, func(a, b engine.Subnet) int { return a.Prefix.Compare(b.Prefix) })
	return n, true
}

func readSubnet(config ipamConfig) (engine.Subnet, bool) {
	prefix, err := netip.ParsePrefix(config.Subnet)
	if err != nil {
		return engine.Subnet{}, false
	}
	s := engine.Subnet{Prefix: prefix.Masked()}
	if within, err := netip.ParsePrefix(config.IPRange); err == nil {
		s.Range = within.Masked()
	}
	address, _, _ := strings.Cut(config.Gateway, "/") // some versions add the length
	if gateway, err := netip.ParseAddr(address); err == nil {
		s.Gateway = gateway
	}
	return s, true
}

// isTrue reads an option as Docker does.
func isTrue(value string, unset bool) bool {
	set, err := strconv.ParseBool(value)
	if err != nil {
		return unset
	}
	return set
}

// filled is the map, or nil if nothing is in it: Docker has both.
func filled(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

// rename makes the names of networks unique: old versions of Docker allow two of
// a name. The oldest keeps it.
func rename(networks []engine.Network) {
	slices.SortFunc(networks, func(a, b engine.Network) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	last := ""
	for i, n := range networks {
		if n.Name == last {
			networks[i].Name += "-" + n.ID[:min(12, len(n.ID))]
		}
		last = n.Name
	}
	slices.SortFunc(networks, func(a, b engine.Network) int { return cmp.Compare(a.Name, b.Name) })
}
