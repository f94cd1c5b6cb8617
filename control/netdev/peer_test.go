package netdev

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hostSide reads the host's side of a veth, which has all that leads to the other.
func hostSide(t *testing.T, name string) LinkInfo {
	t.Helper()
	link, err := Link(name)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// Several pairs whose other ends have the same index each in a namespace of its own.
func TestPeerOf(t *testing.T) {
	newHost(t)
	newBridge(t)
	var attached []Veth
	for n := byte(2); n < 5; n++ {
		v := newVeth(n, newSandbox(t, fmt.Sprint("s", n)))
		v.Addrs = append(
			v.Addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 30, 1, n}), 32),
			netip.MustParsePrefix(fmt.Sprintf("fd00:30::%d/64", n)),
		)
		if _, err := CreateVeth(v); err != nil {
			t.Fatal(err)
		}
		attached = append(attached, v)
	}
	runIP(t, attached[0].Netns, "link add name other type bridge")
	runIP(t, attached[0].Netns, "addr add 10.9.9.9/24 dev other")

	for _, v := range attached {
		peer, err := PeerOf(hostSide(t, v.Host))
		if err != nil {
			t.Fatal(err)
		}
		if peer.Name != v.Peer || peer.Up || peer.Carrier || len(peer.Addrs) != 0 || peer.MAC.String() != v.PeerMAC.String() {
			t.Errorf("%s before it is up: %+v", v.Host, peer)
		}
		wantUp(t, v)
		host := hostSide(t, v.Host)
		if !host.Carrier {
			t.Errorf("%s has no carrier", v.Host)
		}
		if peer, err = PeerOf(host); err != nil {
			t.Fatal(err)
		}
		inside := linkIn(t, v.Netns, v.Peer)
		if !peer.Up || !peer.Carrier || peer.MTU != v.MTU || peer.Index != inside.Index || peer.PeerIndex != host.Index {
			t.Errorf("%s is up: %+v, inside it is %+v", v.Host, peer, inside)
		}
		if !slices.Equal(peer.Addrs, inside.Addrs) || !containsAll(peer.Addrs, v.Addrs) {
			t.Errorf("%s has addresses %v, inside it has %v", v.Host, peer.Addrs, inside.Addrs)
		}
	}
}

func containsAll(have, want []netip.Prefix) bool {
	return !slices.ContainsFunc(want, func(p netip.Prefix) bool { return !slices.Contains(have, p) })
}

// A point-to-point address is the link's own, not the one that it leads to.
func TestPeerOfPointToPoint(t *testing.T) {
	newHost(t)
	newBridge(t)
	v := newVeth(2, newSandbox(t, "web"))
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	runIP(t, v.Netns, "addr add 10.8.0.1 peer 10.8.0.2 dev eth0")
	runIP(t, v.Netns, "addr add fd00:8::1 peer fd00:8::2 dev eth0")
	peer, err := PeerOf(hostSide(t, v.Host))
	if want := prefixes("10.8.0.1/32", "fd00:8::1/128"); err != nil || !slices.Equal(peer.Addrs, want) {
		t.Errorf("addresses %v, %v; want %v", peer.Addrs, err, want)
	}
}

func TestPeerOfNone(t *testing.T) {
	newHost(t)
	bridge := newBridge(t)
	wantNone := func(what string, link LinkInfo) {
		t.Helper()
		if peer, err := PeerOf(link); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %+v, %v; want ErrNotFound", what, peer, err)
		}
	}
	wantNone("a bridge", hostSide(t, "br0"))

	runIP(t, threadNetns, "link add name here type veth peer name there")
	here := hostSide(t, "here")
	if there := hostSide(t, "there"); here.PeerIndex != there.Index || here.NetnsID != -1 {
		t.Errorf("a pair of this namespace: %+v, its peer is %d", here, there.Index)
	}
	wantNone("a pair of this namespace", here)

	v := newUp(t, 2)
	host := hostSide(t, v.Host)
	for what, change := range map[string]func(*LinkInfo){
		"no such namespace": func(l *LinkInfo) { l.NetnsID += 100 },
		"no such device":    func(l *LinkInfo) { l.PeerIndex += 100 },
		"lo":                func(l *LinkInfo) { l.PeerIndex = 1 },
		"another's peer":    func(l *LinkInfo) { l.Index = bridge },
	} {
		other := host
		change(&other)
		wantNone(what, other)
	}

	runIP(t, v.Netns, "link del eth0")
	wantNone("a peer that is deleted", host)
}

// The number of a namespace that ended goes to the next one.
func TestPeerOfNamespaceGone(t *testing.T) {
	newHost(t)
	newBridge(t)
	first := newUp(t, 2)
	before := hostSide(t, first.Host)
	if err := DeleteNetns("s2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "namespace ends", func() bool {
		_, err := Link(first.Host)
		return errors.Is(err, ErrNotFound)
	})
	if peer, err := PeerOf(before); !errors.Is(err, ErrNotFound) {
		t.Errorf("its namespace is gone: %+v, %v; want ErrNotFound", peer, err)
	}
	second := newUp(t, 3)
	after := hostSide(t, second.Host)
	if before.NetnsID != after.NetnsID || before.PeerIndex != after.PeerIndex {
		t.Fatalf("this kernel uses no number again: before %+v, after %+v", before, after)
	}
	if peer, err := PeerOf(before); !errors.Is(err, ErrNotFound) {
		t.Errorf("another namespace has the number: %+v, %v; want ErrNotFound", peer, err)
	}
	if peer, err := PeerOf(after); err != nil || !containsAll(peer.Addrs, second.Addrs) {
		t.Errorf("the new namespace: %+v, %v", peer, err)
	}
}

func TestPeerOfWhileNamespaceEnds(t *testing.T) {
	newHost(t)
	newBridge(t)
	for range 10 {
		v := newUp(t, 2)
		host := hostSide(t, v.Host)
		deleted := make(chan error, 1)
		go func() { deleted <- DeleteNetns("s2") }()
		eventually(t, "peer is gone", func() bool {
			peer, err := PeerOf(host)
			if err == nil && peer.Name != v.Peer || err != nil && !errors.Is(err, ErrNotFound) {
				t.Fatalf("%+v, %v; want the peer or ErrNotFound", peer, err)
			}
			return err != nil
		})
		if err := <-deleted; err != nil {
			t.Fatal(err)
		}
		eventually(t, "veth is gone", func() bool {
			_, err := Link(v.Host)
			return errors.Is(err, ErrNotFound)
		})
	}
}

// The kernel gives the namespace that is about to end the number -1.
func TestLinkInfoOfNamespaceThatEnds(t *testing.T) {
	info := linkInfo(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{NetNsID: 1<<32 - 1, ParentIndex: 7}}, nil)
	if info.NetnsID != -1 || info.PeerIndex != 7 {
		t.Errorf("the library's %d is %d, peer %d", 1<<32-1, info.NetnsID, info.PeerIndex)
	}
}

func TestPeerOfLeavesNothingOpen(t *testing.T) {
	newHost(t)
	newBridge(t)
	host := hostSide(t, newUp(t, 2).Host)
	before := countFDs(t)
	for range 10 {
		if _, err := PeerOf(host); err != nil {
			t.Fatal(err)
		}
	}
	if after := countFDs(t); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// From a device inside one comes to the host's side of it.
func TestPeerIndexInside(t *testing.T) {
	newHost(t)
	newBridge(t)
	v := newUp(t, 2)
	var way LinkInfo
	err := Do(v.Netns, func() error {
		links, err := Links()
		if err != nil {
			return err
		}
		index, _, err := DefaultUplink(links)
		for _, l := range links {
			if l.Index == index {
				way = l
			}
		}
		return err
	})
	if host := hostSide(t, v.Host); err != nil || way.PeerIndex != host.Index || way.Name != v.Peer {
		t.Errorf("the default route leads by %+v, %v; want it to be the peer of %+v", way, err, host)
	}
}

func BenchmarkPeerOf(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- func() error {
			if _, _, err := EnsureBridge(Bridge{Name: "br0", MTU: 1400}); err != nil {
				return err
			}
			path, err := CreateNetns("bench")
			if err != nil {
				return err
			}
			defer DeleteNetns("bench")
			v := newVeth(2, path)
			v.Addrs = append(v.Addrs, netip.MustParsePrefix("fd00:30::2/64"))
			if _, err := CreateVeth(v); err != nil {
				return err
			}
			if err := v.Up(); err != nil {
				return err
			}
			host, err := Link(v.Host)
			if err != nil {
				return err
			}
			for b.Loop() {
				if _, err := PeerOf(host); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
