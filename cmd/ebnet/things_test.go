package main

import (
	"net/netip"
	"strings"

	"github.com/ebnet/ebnet/control/api"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func webSandbox() api.Sandbox {
	address := netip.MustParseAddr("172.18.0.2")
	return api.Sandbox{
		Name: "web", ID: strings.Repeat("e", 64), Owner: "ebnet", Netns: "/run/netns/ebnet-web",
		Labels: map[string]string{"app": "shop"},
		Endpoints: []api.Endpoint{{
			Network: "default", Interface: "eth0", Addresses: prefixes("172.18.0.2/16"), MAC: "02:42:ac:12:00:02",
			HostInterface: "eb0123456789a", HostMAC: "02:00:00:00:00:01", Gateways: []netip.Addr{netip.MustParseAddr("172.18.0.1")},
		}},
		Published: []api.Publish{
			{Proto: "tcp", HostIP: "0.0.0.0", HostPort: 8080, HostPortEnd: 8080, Sandbox: "web", Address: address, Port: 80, PortEnd: 80, Owner: "ebnet"},
			{Proto: "udp", HostIP: "::1", HostPort: 9000, HostPortEnd: 9010, Sandbox: "web", Address: address, Port: 9000, PortEnd: 9010, Owner: "ebnet"},
		},
	}
}

func defaultNetwork() api.Network {
	return api.Network{
		Name: "default", ID: strings.Repeat("a", 64), Driver: "bridge", Scope: "local", Owner: "ebnet",
		Subnets: prefixes("172.18.0.0/16"), Gateways: []netip.Addr{netip.MustParseAddr("172.18.0.1")}, Bridge: "ebnet0", MTU: 1500,
		ICC: true, Masquerade: true, Default: true,
		Endpoints: []api.NetworkEndpoint{{Sandbox: "web", Addresses: prefixes("172.18.0.2/16"), MAC: "02:42:ac:12:00:02"}},
	}
}

func blueNetwork() api.Network {
	return api.Network{
		Name: "blue", ID: strings.Repeat("b", 64), Driver: "bridge", Scope: "local", Owner: "ebnet",
		Subnets: prefixes("10.7.0.0/24"), Gateways: []netip.Addr{netip.MustParseAddr("10.7.0.1")}, IPRanges: prefixes("10.7.0.128/25"),
		Bridge: "br7", MTU: 1400, Internal: true, HostIP: "192.0.2.1",
		Options: map[string]string{api.OptionBridge: "br7", api.OptionMTU: "1400"}, Labels: map[string]string{"tier": "back"},
		Endpoints: []api.NetworkEndpoint{{Sandbox: "app", Addresses: prefixes("10.7.0.129/24"), MAC: "02:42:0a:07:00:81"}},
	}
}

func greenNetwork() api.Network {
	return api.Network{Name: "green", ID: strings.Repeat("c", 64), Driver: "none", Scope: "local", Owner: "ebnet"}
}

// appSandbox is on two networks, one of which leads nowhere.
func appSandbox() api.Sandbox {
	return api.Sandbox{
		Name: "app", ID: strings.Repeat("f", 64), Owner: "ebnet", Netns: "/run/netns/ebnet-app",
		Endpoints: []api.Endpoint{
			{
				Network: "default", Interface: "eth0", Addresses: prefixes("172.18.0.3/16"), MAC: "02:42:ac:12:00:03",
				HostInterface: "eb0123456789b", Gateways: []netip.Addr{netip.MustParseAddr("172.18.0.1")},
			},
			{Network: "blue", Interface: "eth1", Addresses: prefixes("10.7.0.129/24"), MAC: "02:42:0a:07:00:81", HostInterface: "eb0123456789c"},
		},
	}
}

func readyStatus() api.Status {
	return api.Status{
		Version: "v1", Ready: true, Uplinks: []api.Uplink{{Name: "eth0", Addresses: prefixes("192.0.2.1/24")}},
		Networks: 1, Endpoints: 1, Published: 12, Flows: 1, FlowsLimit: 1 << 20,
		Programs: []api.Program{{Hook: "tcx/ingress", Device: "eth0", Program: "ebnet_from_ext", ID: 1}},
		Maps:     []api.Map{{Name: "ebnet_flow", Entries: 2, Limit: 1 << 21, Bytes: 3 << 20}},
		Problems: []string{"port 8080 is open to all, but the host's firewall denies by default", "uplink eth1 is down"},
	}
}
