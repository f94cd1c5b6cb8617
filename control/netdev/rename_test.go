package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestRenameLink(t *testing.T) {
	newHost(t)
	bridge := newBridge(t)
	web := newUp(t, 2)
	before := linkIn(t, threadNetns, web.Host)
	runIP(t, threadNetns, "link set "+web.Host+" name other")
	if err := RenameLink(before.Index, web.Host); err != nil {
		t.Fatal(err)
	}
	after := linkIn(t, threadNetns, web.Host)
	if after.Index != before.Index || !after.Up || after.Master != bridge {
		t.Errorf("the link is %+v, before %+v", after, before)
	}
	if err := exchange(packetConn(t, web.Netns, web.Addrs[0].Addr(), 0), packetConn(t, threadNetns, gateway, 0)); err != nil {
		t.Error(err)
	}
	if err := RenameLink(before.Index, "br0"); !errors.Is(err, ErrExists) {
		t.Errorf("the name of another: %v, want ErrExists", err)
	}
	if err := RenameLink(9999, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no device: %v, want ErrNotFound", err)
	}
	if got := linkIn(t, threadNetns, web.Host); !got.Up {
		t.Errorf("after failures the link is %+v", got)
	}
}

// Where the kernel renames only what is down the link is up again at the end, also when
// it could not be renamed.
func TestRenameDown(t *testing.T) {
	newHost(t)
	newBridge(t)
	web := newUp(t, 2)
	h, err := newHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, name := range []string{"br0", "other"} {
		link, err := linkByName(h, web.Host)
		if err != nil {
			t.Fatal(err)
		}
		if err := renameDown(h, link, name); (err == nil) != (name == "other") {
			t.Errorf("renamed to %s: %v", name, err)
		}
		if got := linkIn(t, threadNetns, map[bool]string{true: "other", false: web.Host}[name == "other"]); !got.Up {
			t.Errorf("after renaming to %s the link is %+v", name, got)
		}
	}
}

// The sandbox's side gets its name, its MAC address and its MTU back, whoever has
// changed them, and nothing that goes by it breaks.
func TestVethUpRestoresPeer(t *testing.T) {
	newHost(t)
	newBridge(t)
	web := newUp(t, 2)
	server := packetConn(t, threadNetns, gateway, 0)
	client := packetConn(t, web.Netns, web.Addrs[0].Addr(), 0)
	before := linkIn(t, web.Netns, "eth0")
	for _, harm := range []string{
		"link set eth0 name foo0",
		"link set eth0 down name foo0",
		"link set eth0 address 02:09:09:09:09:09",
		"link set eth0 mtu 1300",
		"link set eth0 name foo0 address 02:09:09:09:09:09 mtu 1300",
	} {
		runIP(t, web.Netns, harm)
		wantUp(t, web)
		after := linkIn(t, web.Netns, "eth0")
		if after.Index != before.Index || !after.Up || after.MAC.String() != before.MAC.String() || after.MTU != before.MTU {
			t.Errorf("after %s it is %+v, before %+v", harm, after, before)
		}
		if err := exchange(client, server); err != nil {
			t.Errorf("after %s: %v", harm, err)
		}
		if got := defaultRoutes(t, web.Netns); len(got) != 1 {
			t.Errorf("after %s the default routes are %q", harm, got)
		}
	}
}

// With another device of the name beside it, both stay as they are.
func TestVethUpNameTaken(t *testing.T) {
	newHost(t)
	newBridge(t)
	web := newUp(t, 2)
	runIP(t, web.Netns, "link set eth0 name foo0")
	runIP(t, web.Netns, "link add eth0 type bridge")
	if err := web.Up(); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), "rename link foo0 to eth0") {
		t.Errorf("Up = %v, want ErrExists", err)
	}
	for name, kind := range map[string]string{"foo0": "veth", "eth0": "bridge"} {
		if got := linkIn(t, web.Netns, name); got.Kind != kind {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

// Its side is the other end of the host's, not one of its name that is somebody else's.
func TestVethUpPeerGone(t *testing.T) {
	newHost(t)
	newBridge(t)
	web := newUp(t, 2)
	elsewhere := newSandbox(t, "elsewhere")
	number := linkIn(t, web.Netns, "eth0").Index
	runIP(t, web.Netns, "link set eth0 netns elsewhere")
	runIP(t, web.Netns, fmt.Sprintf("link add eth0 index %d type veth peer name eth1", number))
	if err := web.Up(); !errors.Is(err, ErrNotFound) {
		t.Errorf("Up = %v, want ErrNotFound", err)
	}
	if got := linkIn(t, web.Netns, "eth0"); len(got.Addrs) > 0 || got.Up {
		t.Errorf("somebody else's eth0 has become %+v", got)
	}
	if got := linkIn(t, elsewhere, "eth0"); got.Kind != "veth" {
		t.Errorf("its side is %+v", got)
	}
}

func TestAddresses(t *testing.T) {
	newHost(t)
	newBridge(t)
	runIP(t, threadNetns, "link set lo up")
	runIP(t, threadNetns, "addr add 10.7.0.3/32 dev lo")
	runIP(t, threadNetns, "addr add 10.7.0.4 peer 10.7.0.5/32 dev br0")
	got, err := Addresses()
	if err != nil {
		t.Fatal(err)
	}
	for addr, dev := range map[string]string{"172.30.0.1": "br0", "10.7.0.3": "lo", "127.0.0.1": "lo", "10.7.0.4": "br0", "10.7.0.5": "", "172.30.0.2": ""} {
		if got[netip.MustParseAddr(addr)] != dev {
			t.Errorf("%s is on %q, want %q", addr, got[netip.MustParseAddr(addr)], dev)
		}
	}
}
