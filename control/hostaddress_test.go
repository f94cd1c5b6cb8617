package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// TestHostsAddresses: what the host has at the moment is given to no sandbox, whether
// the agent has heard of it or not, and may be given once the host has it no more.
func TestHostsAddresses(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "lo", Kind: "device", Up: true, Loopback: true})
	a := w.agent()
	if err := createNetwork(api.NetworkCreate{Name: "blue", Subnets: prefixes("10.7.0.0/29")})(a); err != nil {
		t.Fatal(err)
	}
	host := func(addrs ...string) {
		l := w.links["lo"]
		l.Addrs = prefixes(addrs...)
		w.change(l)
	}
	create := func(name string, ip string) error {
		at := api.Attachment{Network: "blue"}
		if ip != "" {
			at.IP = netip.MustParseAddr(ip)
		}
		_, err := a.CreateSandbox(t.Context(), api.SandboxCreate{Name: name, Networks: []api.Attachment{at}})
		return err
	}
	host("10.7.0.2/32", "10.7.0.3/32", "10.7.0.5/32")
	err := create("asks", "10.7.0.3")
	if apiError(err).Code != api.CodeConflict || !strings.Contains(err.Error(), "network blue: address 10.7.0.3 is the host's own, on lo") {
		t.Errorf("the host's address was asked for: %v", err)
	}
	if err := create("asks", "10.7.0.1"); apiError(err).Code != api.CodeUnprocessable {
		t.Errorf("the gateway's address was asked for: %v", err)
	}
	var got []string
	for name := 'a'; err == nil || name == 'a'; name++ {
		if err = create(string(name), ""); err == nil {
			got = append(got, a.want.sandboxes[string(name)].Attachments[0].Addresses[0].Addr().String())
		}
	}
	if !slices.Equal(got, []string{"10.7.0.4", "10.7.0.6"}) || !strings.Contains(err.Error(), "no free address") {
		t.Errorf("given %q, then %v", got, err)
	}
	host()
	if err := create("later", "10.7.0.3"); err != nil {
		t.Errorf("the host has it no more: %v", err)
	}
	if err := a.RemoveSandbox(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	host("10.7.0.2/32", "10.7.0.3/32", "10.7.0.5/32")
	if err := create("last", ""); err == nil {
		t.Errorf("given %s", a.want.sandboxes["last"].Attachments[0].Addresses)
	}
}

// TestMACTaken: a sandbox with the MAC address of its bridge or of one of the bridge's
// ports would get nothing.
func TestMACTaken(t *testing.T) {
	w := newWorld(t)
	bridge := w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1500, MAC: []byte{2, 0, 0, 0, 0, 1}, Addrs: prefixes("10.30.0.7/24")})
	w.add(netdev.LinkInfo{Name: "port0", Kind: "device", MAC: []byte{2, 0, 0, 0, 0, 2}, Master: bridge})
	a := w.agent()
	if err := all(createNetwork(api.NetworkCreate{Name: "dock", Bridge: "docker0"}), createSandbox("web", []string{"default", "dock"}))(a); err != nil {
		t.Fatal(err)
	}
	ats := a.want.sandboxes["web"].Attachments
	for _, row := range []struct{ network, mac, by string }{
		{"default", a.want.networks["default"].BridgeMAC, "ebnet0"},
		{"default", strings.ToUpper(ats[0].HostMAC), ats[0].HostInterface},
		{"dock", "02:00:00:00:00:01", "docker0"},
		{"dock", "02:00:00:00:00:02", "port0"},
		{"dock", ats[1].HostMAC, ats[1].HostInterface},
		{"dock", ats[0].HostMAC, ""}, // of another network's
		{"default", "02:00:00:00:00:01", ""},
	} {
		_, err := a.CreateSandbox(t.Context(), api.SandboxCreate{Name: "x", Networks: []api.Attachment{{Network: row.network, MAC: row.mac}}})
		if row.by == "" {
			if err != nil {
				t.Errorf("%+v: %v", row, err)
			} else if err := a.RemoveSandbox(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want := fmt.Sprintf("MAC address %s is taken by %s", strings.ToLower(row.mac), row.by); apiError(err).Code != api.CodeConflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", row, err, want)
		}
	}
}

// TestMostNetworks: a sandbox is on as many networks as the datapath can keep together.
func TestMostNetworks(t *testing.T) {
	if have := len(bpf.EbnetSandbox{}.Addrs); have != mostAddresses {
		t.Fatalf("the datapath keeps %d addresses of a sandbox together", have)
	}
	a := newWorld(t).agent()
	var names []string
	for i := range mostAddresses + 1 {
		names = append(names, fmt.Sprint("n", i))
		if err := createNetwork(api.NetworkCreate{Name: names[i], Subnets: prefixes(fmt.Sprintf("10.7.%d.0/24", i))})(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := createSandbox("web", names[:mostAddresses])(a); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"connect": connect(names[mostAddresses], "web")(a), "create": createSandbox("db", names)(a)} {
		if apiError(err).Code != api.CodeUnprocessable || !strings.Contains(err.Error(), "more than the 32 that a sandbox can have") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRangeOnBridge: of a bridge with several subnets that is taken which holds the
// range.
func TestRangeOnBridge(t *testing.T) {
	w := newWorld(t)
	w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("10.30.0.7/24", "10.31.0.7/24")})
	w.add(netdev.LinkInfo{Name: "docker1", Kind: "bridge", Up: true, MTU: 1500})
	a := w.agent()
	for rng, want := range map[string]string{
		"10.30.0.128/25": "10.30.0.0/24 10.30.0.7",
		"10.31.0.128/25": "10.31.0.0/24 10.31.0.7",
	} {
		if err := createNetwork(api.NetworkCreate{Name: "n", Bridge: "docker0", IPRanges: prefixes(rng)})(a); err != nil {
			t.Fatal(err)
		}
		s := a.want.networks["n"].Subnets[0]
		if got := fmt.Sprint(s.Prefix, " ", s.Gateway); got != want || s.Range != netip.MustParsePrefix(rng) {
			t.Errorf("%s: %s, range %s, want %s", rng, got, s.Range, want)
		}
		if err := removeNetwork("n")(a); err != nil {
			t.Fatal(err)
		}
	}
	for bridge, want := range map[string]string{
		"docker0": "range 10.32.0.0/25 of 10.30.0.0/24: outside of the subnet",
		"docker1": "ip-range 10.32.0.0/25 has no subnet to be in",
		"br9":     "ip-range 10.32.0.0/25 has no subnet to be in",
	} {
		err := createNetwork(api.NetworkCreate{Name: "n", Bridge: bridge, IPRanges: prefixes("10.32.0.0/25")})(a)
		if apiError(err).Code != api.CodeUnprocessable || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", bridge, err, want)
		}
	}
}

// TestNetworksHostIP: what is published at a network's own address is found without it,
// where nothing else is meant.
func TestNetworksHostIP(t *testing.T) {
	a := newWorld(t).agent()
	err := all(createNetwork(api.NetworkCreate{Name: "blue", HostIP: netip.MustParseAddr("127.0.0.1")}), createSandbox("web", []string{"blue"}, "7200:80", "127.0.0.1:7201:81"))(a)
	if err != nil {
		t.Fatal(err)
	}
	if err := allow(api.AllowChange{Spec: hostSpec("7200"), Set: prefixes("192.0.2.0/24")})(a); err != nil {
		t.Error(err)
	}
	if err := publish(api.PublishCreate{Spec: spec("198.51.100.1:7201:82"), Sandbox: "web"})(a); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"7200": "", "7201": "published on 127.0.0.1 and 198.51.100.1, not on all addresses"} {
		_, err := a.Unpublish(t.Context(), hostSpec(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("unpublish %s: %v, want %q", text, err, want)
		}
	}
}
