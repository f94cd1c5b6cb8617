package control

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestIPv6Requests asks for networks, sandboxes and ports of both families, and for what
// is wrong with them.
func TestIPv6Requests(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "up1", Kind: "device", Up: true, Addrs: prefixes("2001:db8::1/64", "fd00:99::1/64")})
	w.add(netdev.LinkInfo{Name: "br6", Kind: "bridge", MTU: 1500, Addrs: prefixes("fd00:6::7/64", "10.6.0.1/24", "fe80::1/64")})
	w.held[81] = true
	a := w.agent()
	serveRows(t, a, []serverRow{
		{"POST /v1/networks", `{"name":"both","subnets":["fd00:7::9/64","10.7.0.0/24"],"ip_ranges":["fd00:7::100/120"]}`, 201, `"subnets": [
    "10.7.0.0/24",
    "fd00:7::/64"
  ],
  "gateways": [
    "10.7.0.1",
    "fd00:7::1"
  ],
  "ip_ranges": [
    "fd00:7::100/120"
  ]`},
		{"POST /v1/networks", `{"name":"six","ipv6":true,"no_ipv4":true}`, 201, `"subnets": [
    "fd`},
		{"POST /v1/networks", `{"name":"old","subnets":["10.8.0.0/24"]}`, 201, `"10.8.0.0/24"`},
		{"POST /v1/networks", `{"name":"here","ipv6":true,"bridge":"br6"}`, 201, `"gateways": [
    "10.6.0.1",
    "fd00:6::7"
  ]`},
		{"POST /v1/networks", `{"name":"x","subnets":["fd00:7::/48"]}`, 409, `subnet fd00:7::/48 overlaps network both (fd00:7::/64)`},
		{"POST /v1/networks", `{"name":"x","subnets":["fd00:99::/64"]}`, 409, `subnet fd00:99::/64 overlaps fd00:99::/64, to which the host has an address or a route`},
		{"POST /v1/networks", `{"name":"x","subnets":["fe80::/64"]}`, 422, `addresses of fe80::/10 are link-local and never routed`},
		{"POST /v1/networks", `{"name":"x","subnets":["::ffff:10.1.0.0/112"]}`, 422, `unusable subnet`},
		{"POST /v1/networks", `{"name":"x","subnets":["fd00:1::/128"]}`, 422, `no address left beside the gateway`},
		{"POST /v1/networks", `{"name":"x","no_ipv4":true}`, 400, `a network without IPv4 has IPv6`},

		{"POST /v1/sandboxes", `{"name":"web","networks":[{"network":"both","ip":"10.7.0.9","ip6":"fd00:7::9"}]}`, 201, `"addresses": [
        "10.7.0.9/24",
        "fd00:7::9/64"
      ],
      "mac": "02:42:0a:07:00:09"`},
		{"POST /v1/sandboxes", `{"name":"next","networks":[{"network":"both","ip":"fd00:7::77"}]}`, 201, `"fd00:7::77/64"`},
		{"POST /v1/sandboxes", `{"name":"free","networks":[{"network":"both"}]}`, 201, `"fd00:7::100/64"`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"both","ip6":"fd00:7::9"}]}`, 409, `address fd00:7::9 is taken by sandbox web`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"both","ip6":"fd00:8::9"}]}`, 422, `outside of the subnet`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"both","ip6":"fd00:7::1"}]}`, 422, `gateway`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"both","ip":"fd00:7::5","ip6":"fd00:7::6"}]}`, 400, `two IPv6 addresses: fd00:7::5 and fd00:7::6`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"six","ip":"10.7.0.9"}]}`, 422, `address 10.7.0.9: it has no IPv4 subnet`},
		{"POST /v1/sandboxes", `{"name":"only6","networks":[{"network":"six"}]}`, 201, `::2/64"`},
		{"POST /v1/sandboxes", `{"name":"only4","networks":[{"network":"old"}]}`, 201, `"10.8.0.2/24"`},
		{"POST /v1/networks/both/connect", `{"sandbox":"only4","ip6":"fd00:7::44"}`, 200, `"fd00:7::44/64"`},

		{"POST /v1/publishes", publishTo("web", "", "8080-8081:80-81"), 201, `"host_ip": "0.0.0.0",
  "host_port": 8080,`},
		{"POST /v1/publishes", publishTo("next", "", "8081:80"), 409, `0.0.0.0:8081/tcp is published already to sandbox web: \"ebnet unpublish 8080-8081\" ends that`},
		{"POST /v1/publishes", publishTo("next", "", "[::]:8081:80"), 409, `[::]:8081/tcp is published already to sandbox web`},
		{"POST /v1/publishes", publishTo("next", "", "[2001:db8::1]:8081:80"), 201, `"address": "fd00:7::77"`},
		{"POST /v1/publishes", publishTo("next", "", "[2001:db8::2]:8081:80"), 422, `the host does not own 2001:db8::2`},
		{"POST /v1/publishes", publishTo("next", "", "[fe80::1]:8081:80"), 422, `fe80::1 is of one link alone`},
		{"POST /v1/publishes", publishTo("next", "", "81:80"), 409, `81/tcp is in use by process 12 (busy)`},
		{"POST /v1/publishes", publishTo("only6", "", "9000:80"), 201, `"host_ip": "::"`},
		{"POST /v1/publishes", publishTo("only6", "", "0.0.0.0:9001:80"), 422, `sandbox only6 has no IPv4 address on network six`},
		{"POST /v1/publishes", publishTo("only4", "old", "[::1]:9001:80"), 422, `sandbox only4 has no IPv6 address on network old`},
		{"POST /v1/publishes", publishTo("only4", "", "9001:80"), 201, `"address": "10.8.0.2"`},
		{"GET /v1/publishes?sandbox=only4", "", 200, `"address": "fd00:7::44"`},
		{"DELETE /v1/publishes?spec=8080", "", 422, `that is a part of 0.0.0.0:8080-8081/tcp`},
		{"DELETE /v1/publishes?spec=8080-8081", "", 200, `"host_ip": "::"`},
		{"DELETE /v1/publishes?spec=9000", "", 200, `"host_ip": "::"`},
		{"GET /v1/publishes?sandbox=web", "", 200, `[]`},
	})
}

// TestIPv6Entries tells what the kernel gets of a sandbox on networks of each kind: one
// element for each family, and default routes by the first network that has the family.
func TestIPv6Entries(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	err := all(
		createNetwork(api.NetworkCreate{Name: "old", Subnets: prefixes("10.8.0.0/24")}),
		createNetwork(api.NetworkCreate{Name: "inner", Subnets: prefixes("10.9.0.0/24", "fd00:9::/64"), Internal: true}),
		createNetwork(api.NetworkCreate{Name: "six", Subnets: prefixes("fd00:6::/64"), NoIPv4: true, IPv6: true}),
		createNetwork(api.NetworkCreate{Name: "both", Subnets: prefixes("10.7.0.0/24", "fd00:7::/64")}),
		createSandbox("web", []string{"inner", "old", "six", "both"}, "8080:80"),
	)(a)
	if err != nil {
		t.Fatal(err)
	}
	ns := w.netns["/fake/ebnet-web"]
	for dev, want := range map[string]string{
		"eth0": "false false", "eth1": "true false", "eth2": "false true", "eth3": "false false",
	} {
		if got := fmt.Sprint(ns[dev].way, ns[dev].way6); got != want {
			t.Errorf("default routes by %s: %s, want %s", dev, got, want)
		}
	}
	if got := fmt.Sprint(ns["eth3"].gates); got != "[10.7.0.1 fd00:7::1]" {
		t.Errorf("gateways of eth3: %s", got)
	}
	var published []string
	for _, p := range w.publishes {
		published = append(published, fmt.Sprint(p.String(), " ", p.Target))
	}
	slices.Sort(published)
	if got := fmt.Sprint(published); got != "[0.0.0.0:8080/tcp 10.8.0.2 [::]:8080/tcp fd00:6::2]" {
		t.Errorf("published %s", got)
	}
	for _, n := range w.networks {
		for _, name := range []string{"six", "both"} {
			if want := a.want.networks[name]; n.Index == want.Index && n.Gateway6 != want.Subnets[len(want.Subnets)-1].Gateway {
				t.Errorf("network %s in the datapath: %+v", name, n)
			}
		}
	}
	before := w.all()
	w.agent().reconcile()
	if after := w.all(); after != before {
		t.Errorf("another agent makes of it\n%s\nbefore:\n%s", after, before)
	}
}

// TestNoIPv6 creates networks on a host whose IPv6 is off.
func TestNoIPv6(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	w.noIPv6 = netdev.ErrNoIPv6
	err := createNetwork(api.NetworkCreate{Name: "both", IPv6: true})(a)
	if !errors.Is(err, api.ErrUnprocessable) || err.Error() != "create network both: IPv6 is switched off on this host" {
		t.Error(err)
	}
	if err := createNetwork(api.NetworkCreate{Name: "old"})(a); err != nil {
		t.Error(err)
	}
	// What was made before it was off has IPv4, and gets the rest back.
	w.noIPv6 = nil
	err = all(
		createNetwork(api.NetworkCreate{Name: "both", Subnets: prefixes("10.7.0.0/24", "fd00:7::/64"), Bridge: "br7"}),
		createSandbox("web", []string{"both"}, "8080:80"),
	)(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		off      error
		has, way string
		problems int
	}{
		{netdev.ErrNoIPv6, "[10.7.0.1/24] [10.7.0.2/24]", "true false", 1},
		{nil, "[10.7.0.1/24 fd00:7::1/64] [10.7.0.2/24 fd00:7::2/64]", "true true", 0},
	} {
		w.reboot()
		w.noIPv6 = step.off
		a := w.agent()
		dev := w.netns["/fake/ebnet-web"]["eth0"]
		if got := fmt.Sprint(w.links["br7"].Addrs, " ", dev.addrs); got != step.has {
			t.Errorf("%v: the bridge and the sandbox have %s, want %s", step.off, got, step.has)
		}
		if got := fmt.Sprint(dev.way, dev.way6); got != step.way {
			t.Errorf("%v: default routes %s", step.off, got)
		}
		if len(a.problems) != step.problems {
			t.Errorf("%v: problems %q", step.off, a.problems)
		}
	}
}

// TestChosenPortOfBothFamilies publishes a port of ebnet's choosing: one that is free on
// both.
func TestChosenPortOfBothFamilies(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	err := all(
		createNetwork(api.NetworkCreate{Name: "both", Subnets: prefixes("10.7.0.0/24", "fd00:7::/64")}),
		createSandbox("web", []string{"both"}, "[::]:49153:80", "0.0.0.0:49154:80"),
	)(a)
	if err != nil {
		t.Fatal(err)
	}
	all, err := a.Publish(t.Context(), api.PublishCreate{Spec: spec("0:81")})
	if err != nil || len(all) != 2 || all[0].HostPort != 49155 || all[1].HostPort != 49155 ||
		all[0].HostIP != "0.0.0.0" || all[1].HostIP != "::" || all[1].Address != netip.MustParseAddr("fd00:7::2") {
		t.Errorf("published %+v, %v", all, err)
	}
}
