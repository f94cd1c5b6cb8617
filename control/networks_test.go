package control

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestNetworkRequests asks for all that can be wrong with networks. What is refused
// leaves nothing behind.
func TestNetworkRequests(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "tap0", Kind: "tun", Addrs: prefixes("10.20.0.1/24")})
	w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", MTU: 1450, Addrs: prefixes("10.30.0.7/24", "10.30.0.9/24")})
	w.add(netdev.LinkInfo{Name: "docker1", Kind: "bridge", MTU: 1500, Addrs: prefixes("10.31.0.1/30", "10.31.0.2/30")})
	w.routes = routes("10.40.0.0/16")
	a := w.agent()
	serveRows(t, a, []serverRow{
		{"POST /v1/networks", `{"name":"blue","subnets":["10.7.0.9/24"],"gateways":["10.7.0.254"],"ip_ranges":["10.7.0.129/25"],"mtu":1400,"internal":true,"host_ip":"198.51.100.1","labels":{"a":"b"},"options":{"com.docker.network.driver.mtu":"1400"}}`, 201, `"gateways": [
    "10.7.0.254"
  ],
  "ip_ranges": [
    "10.7.0.128/25"
  ]`},
		{"POST /v1/networks", `{"name":"by-docker","options":{"com.docker.network.bridge.name":"br9","com.docker.network.bridge.enable_icc":"false","com.docker.network.bridge.enable_ip_masquerade":"false","com.docker.network.bridge.host_binding_ipv4":"127.0.0.1","com.docker.network.driver.mtu":"1300"}}`, 201, `"bridge": "br9",
  "mtu": 1300,
  "internal": false,
  "icc": false,
  "masquerade": false,
  "host_ip": "127.0.0.1",`},
		{"GET /v1/networks/by-docker", "", 200, `"com.docker.network.bridge.name": "br9"`},
		{"POST /v1/networks", `{"name":"lonely","driver":"none"}`, 201, `"driver": "none"`},
		{"POST /v1/networks", `{"name":"dock","bridge":"docker0"}`, 201, `"gateways": [
    "10.30.0.7"
  ],`},
		{"GET /v1/networks/dock", "", 200, `"mtu": 1450`},

		{"POST /v1/networks", `{"name":"blue"}`, 409, `create network blue: there is one already`},
		{"POST /v1/networks", `{"name":"none"}`, 409, `there is one already`},
		{"POST /v1/networks", `{"name":"a/b"}`, 400, `a/b`},
		{"POST /v1/networks", `{"name":"x","driver":"macvlan"}`, 400, `create network x: unknown driver`},
		{"POST /v1/networks", `{"name":"x","options":{"mtu":"9"}}`, 400, `unknown option`},
		{"POST /v1/networks", `{"name":"x","host_ip":"::1"}`, 400, `::1 is an IPv6 address`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24","10.2.0.0/24"]}`, 400, `a network has one IPv4 and one IPv6 subnet`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.4/32"]}`, 422, `no address left beside the gateway`},
		{"POST /v1/networks", `{"name":"x","subnets":["224.0.0.0/24"]}`, 422, `create network x: subnet 224.0.0.0/24: unusable subnet: addresses of 224.0.0.0/4 are of groups, not of hosts`},
		{"POST /v1/networks", `{"name":"x","subnets":["239.1.0.0/16"]}`, 422, `subnet 239.1.0.0/16: unusable subnet: addresses of 224.0.0.0/4 are`},
		{"POST /v1/networks", `{"name":"x","subnets":["240.0.0.0/24"]}`, 422, `subnet 240.0.0.0/24: unusable subnet: addresses of 240.0.0.0/4 are reserved`},
		{"POST /v1/networks", `{"name":"x","subnets":["255.255.255.0/24"]}`, 422, `subnet 255.255.255.0/24: unusable subnet: addresses of 240.0.0.0/4`},
		{"POST /v1/networks", `{"name":"x","subnets":["169.254.7.0/24"]}`, 422, `subnet 169.254.7.0/24: unusable subnet: addresses of 169.254.0.0/16 are`},
		{"POST /v1/networks", `{"name":"x","subnets":["169.254.0.0/15"]}`, 422, `subnet 169.254.0.0/15: unusable subnet: addresses of 169.254.0.0/16 are`},
		{"POST /v1/networks", `{"name":"x","subnets":["127.1.0.0/16"]}`, 422, `subnet 127.1.0.0/16: unusable subnet: addresses of 127.0.0.0/8 are`},
		{"POST /v1/networks", `{"name":"x","subnets":["126.0.0.0/7"]}`, 422, `subnet 126.0.0.0/7: unusable subnet: addresses of 127.0.0.0/8 are`},
		{"POST /v1/networks", `{"name":"x","subnets":["0.1.0.0/16"]}`, 422, `subnet 0.1.0.0/16: unusable subnet: addresses of 0.0.0.0/8 are`},
		{"POST /v1/networks", `{"name":"x","subnets":["0.0.0.0/0"]}`, 422, `subnet 0.0.0.0/0: unusable subnet: addresses of 0.0.0.0/8 are`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24"],"ip_ranges":["10.1.0.1/32"]}`, 422, `create network x: ip-range 10.1.0.1/32 has no address to give out`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24"],"ip_ranges":["10.1.0.0/31"]}`, 422, `ip-range 10.1.0.0/31 has no address to give out`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24"],"gateways":["10.1.0.9"],"ip_ranges":["10.1.0.9/32"]}`, 422, `ip-range 10.1.0.9/32 has no address to give out`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24"],"ip_ranges":["10.1.0.255/32"]}`, 422, `ip-range 10.1.0.255/32 has no address to give out`},
		{"POST /v1/networks", `{"name":"x","bridge":"docker1"}`, 422, `subnet 10.31.0.0/30 has no address to give out`},
		{"POST /v1/networks", `{"name":"tight","subnets":["10.1.0.0/24"],"ip_ranges":["10.1.0.2/32"]}`, 201, `10.1.0.2/32`},
		{"DELETE /v1/networks/tight", "", 204, ``},
		{"POST /v1/networks", `{"name":"x","gateways":["10.1.0.1"]}`, 422, `gateway 10.1.0.1 has no subnet to be in`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24"],"gateways":["10.2.0.1"]}`, 400, `gateway 10.2.0.1 is outside of the subnet 10.1.0.0/24`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24"],"gateways":["10.1.0.255"]}`, 422, `network or broadcast address`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.1.0.0/24"],"ip_ranges":["10.1.0.0/23"]}`, 400, `ip-range 10.1.0.0/23 is outside of the subnet 10.1.0.0/24`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.7.0.128/25"]}`, 409, `subnet 10.7.0.128/25 overlaps network blue (10.7.0.0/24)`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.0.0.0/8"]}`, 409, `overlaps network blue`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.20.0.0/16"]}`, 409, `subnet 10.20.0.0/16 overlaps 10.20.0.0/24, to which the host has an address or a route`},
		{"POST /v1/networks", `{"name":"x","subnets":["10.40.7.0/24"]}`, 409, `overlaps 10.40.0.0/16, to which the host has`},
		{"POST /v1/networks", `{"name":"x","bridge":"tap0"}`, 422, `tap0 is no bridge but a link of kind tun`},
		{"POST /v1/networks", `{"name":"x","bridge":"ebnet0"}`, 409, `bridge ebnet0 is that of network default`},
		{"POST /v1/networks", `{"name":"x","bridge":"docker0"}`, 409, `bridge docker0 is that of network dock`},
		{"POST /v1/networks", `{"name":"x","bridge":"sixteen-letters-"}`, 400, `too long`},

		{"POST /v1/sandboxes", `{"name":"web","networks":[{"network":"blue","ip":"10.7.0.9"},{"network":"default"},{"network":"by-docker"}]}`, 201, `"interface": "eth2"`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"blue","ip":"10.7.0.9"}]}`, 409, `create sandbox x: network blue: address 10.7.0.9 is taken by sandbox web`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"blue","ip":"10.7.0.254"}]}`, 422, `gateway`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"blue","ip":"10.7.0.0"}]}`, 422, `network or broadcast address`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"blue","ip":"fd00::1"}]}`, 422, `network blue: address fd00::1: it has no IPv6 subnet`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"blue","mac":"02:42:0a:07:00:09"}]}`, 409, `MAC address 02:42:0a:07:00:09 is taken by sandbox web`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"dock","ip":"10.30.0.9"}]}`, 409, `address 10.30.0.9 is the host's own, on docker0`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"blue"},{"network":"blue"}]}`, 409, `sandbox x is on network blue already`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"blue"},{"network":"host"}]}`, 422, `a sandbox on network host is on no other`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"lonely"},{"network":"blue"}]}`, 422, `a sandbox on network lonely is on no other`},
		{"POST /v1/sandboxes", `{"name":"n","networks":[{"network":"lonely"}]}`, 201, `"endpoints": []`},
		{"GET /v1/networks/lonely", "", 200, `"sandbox": "n"`},

		{"POST /v1/networks/blue/connect", `{"sandbox":"web"}`, 409, `connect sandbox web to network blue: sandbox web is on network blue already`},
		{"POST /v1/networks/dock/connect", `{"sandbox":"web","ip":"10.30.0.33"}`, 200, `"interface": "eth3"`},
		{"POST /v1/networks/dock/connect", `{"sandbox":"nobody"}`, 404, `there is no sandbox \"nobody\"`},
		{"POST /v1/networks/red/connect", `{"sandbox":"web"}`, 404, `there is no network \"red\"`},
		{"POST /v1/networks/host/connect", `{"sandbox":"web"}`, 422, `host's own namespace cannot be connected to`},
		{"POST /v1/networks/none/connect", `{"sandbox":"web"}`, 422, `a sandbox on network none is on no other`},
		{"POST /v1/networks/blue/connect", `{"sandbox":"n"}`, 422, `a sandbox on network lonely is on no other`},
		{"POST /v1/networks/lonely/disconnect", `{"sandbox":"web"}`, 409, `it is not on that`},
		{"POST /v1/networks/red/disconnect", `{"sandbox":"web"}`, 404, `there is no network \"red\"`},
		{"POST /v1/networks/dock/disconnect", `{"sandbox":"nobody"}`, 404, `there is no sandbox`},
		{"POST /v1/networks/lonely/disconnect", `{"sandbox":"n"}`, 204, ``},
		{"POST /v1/networks/none/connect", `{"sandbox":"n"}`, 200, `"endpoints": []`},
		{"POST /v1/networks/none/disconnect", `{"sandbox":"n"}`, 204, ``},
		{"POST /v1/networks/blue/connect", `{"sandbox":"n"}`, 200, `"interface": "eth0"`},

		{"POST /v1/publishes", publishTo("web", "", "8080:80"), 201, `"address": "` + addressOf(a, "default") + `"`},
		{"POST /v1/publishes", publishTo("web", "by-docker", "8080:80"), 201, `"host_ip": "127.0.0.1"`},
		{"POST /v1/publishes", publishTo("web", "by-docker", "198.51.100.1:8080:80"), 201, `"host_ip": "198.51.100.1"`},
		{"POST /v1/publishes", publishTo("web", "blue", "8081:80"), 422, `network blue is internal: nothing outside reaches it`},
		{"POST /v1/publishes", publishTo("n", "", "8081:80"), 422, `network blue is internal`},
		{"POST /v1/publishes", publishTo("n", "default", "8081:80"), 422, `sandbox n is not on network default`},

		{"DELETE /v1/networks/default", "", 422, `remove network default: sandboxes join it`},
		{"DELETE /v1/networks/none", "", 422, `it is built in`},
		{"DELETE /v1/networks/red", "", 404, `there is no network \"red\"`},
		{"DELETE /v1/networks/blue", "", 409, `sandboxes n, web are attached to it`},
		{"DELETE /v1/networks/dock", "", 409, `sandbox web is attached to it`},
		{"POST /v1/networks/dock/disconnect", `{"sandbox":"web"}`, 204, ``},
		{"DELETE /v1/networks/dock", "", 204, ``},
		{"DELETE /v1/networks/lonely", "", 204, ``},
	})
	docker := w.links["docker0"]
	if got := fmt.Sprint(docker.MTU, docker.Addrs); got != "1450 [10.30.0.7/24 10.30.0.9/24]" {
		t.Errorf("the bridge that was there before has become %s", got)
	}
	var names []string
	for _, n := range a.want.networkList() {
		names = append(names, n.Name)
	}
	if !slices.Equal(names, []string{"blue", "by-docker", "default"}) || len(a.pools) != 3 || len(w.networks) != 3 {
		t.Errorf("networks %q, %d pools, %d in the datapath", names, len(a.pools), len(w.networks))
	}
	if len(a.want.sandboxes) != 2 {
		t.Errorf("%d sandboxes", len(a.want.sandboxes))
	}
}

func publishTo(sandbox, network, text string) string {
	body, err := json.Marshal(api.PublishCreate{Spec: spec(text), Sandbox: sandbox, Network: network})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// addressOf is the first address that a network gives out.
func addressOf(a *Agent, network string) string {
	return a.want.networks[network].Subnets[0].Gateway.Next().String()
}

// TestSubnets: whatever the size, addresses are unlike each other and those that a
// subnet keeps for itself, and a full one says so.
func TestSubnets(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	for subnet, count := range map[string]int{"10.1.0.0/31": 1, "10.2.0.0/30": 1, "10.3.0.0/29": 5} {
		if err := createNetwork(api.NetworkCreate{Name: "n", Subnets: prefixes(subnet)})(a); err != nil {
			t.Fatal(err)
		}
		given := map[netip.Addr]bool{}
		var err error
		for err == nil {
			name := fmt.Sprint("s", len(given))
			if err = createSandbox(name, []string{"n"})(a); err == nil {
				given[a.want.sandboxes[name].Attachments[0].Addresses[0].Addr()] = true
			}
		}
		if len(given) != count || apiError(err).Code != api.CodeConflict || !strings.Contains(err.Error(), "no free address") {
			t.Errorf("%s gave %d addresses, want %d: %v", subnet, len(given), count, err)
		}
		for i := range len(given) {
			if err := a.RemoveSandbox(t.Context(), fmt.Sprint("s", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := removeNetwork("n")(a); err != nil {
			t.Fatal(err)
		}
	}
	for _, subnet := range []string{"10.0.0.0/8", "100.64.0.0/16"} {
		if err := createNetwork(api.NetworkCreate{Name: "n", Subnets: prefixes(subnet)})(a); err != nil {
			t.Errorf("%s: %v", subnet, err)
		}
		if err := removeNetwork("n")(a); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFreeSubnets uses up all that there are.
func TestFreeSubnets(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	var err error
	for i := 1; err == nil; i++ {
		err = createNetwork(api.NetworkCreate{Name: fmt.Sprint("n", i)})(a)
	}
	all := a.want.networkList()
	if len(all) != 31 || !strings.Contains(err.Error(), "no free subnet") {
		t.Errorf("%d networks, then %v", len(all), err)
	}
	for i, n := range all {
		for _, other := range all[:i] {
			if n.Subnets[0].Prefix.Overlaps(other.Subnets[0].Prefix) || n.Index == other.Index || n.Bridge == other.Bridge {
				t.Errorf("%+v\nand %+v", n, other)
			}
		}
	}
	if want := a.want.networks["n1"]; want.Bridge != "eb-"+want.ID[:12] {
		t.Errorf("bridge %s of network %s", want.Bridge, want.ID)
	}
}
