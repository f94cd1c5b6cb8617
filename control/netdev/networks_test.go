package netdev

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// The tests of sandboxes on several networks have three of them, each a bridge of
// its own with a gateway that is a namespace of its own: what leaves by the wrong
// network never comes to whom it was meant for. The same client address is behind
// each gateway, and one that is a neighbour's in the next network.
const networks = 3

var farClient = netip.MustParseAddr("192.0.2.7")

// strayClient is behind network n's gateway with an address of the network after it.
func strayClient(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{172, 31, byte((n + 1) % networks), 9})
}

// newNetworks makes the networks and returns their gateways.
func newNetworks(t *testing.T) (gateways [networks]Veth) {
	t.Helper()
	for n := range gateways {
		if _, _, err := EnsureBridge(Bridge{Name: fmt.Sprint("br", n), MTU: 1400}); err != nil {
			t.Fatal(err)
		}
		gw := Veth{
			Host: fmt.Sprint("g", n), MTU: 1400, Bridge: fmt.Sprint("br", n), Peer: "eth0",
			Netns: newSandbox(t, fmt.Sprint("gw", n)),
			Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 31, byte(n), 1}), 24)},
		}
		newAttached(t, gw)
		runIP(t, gw.Netns, fmt.Sprintf("addr add %s/32 dev lo", farClient))
		runIP(t, gw.Netns, fmt.Sprintf("addr add %s/32 dev lo", strayClient(n)))
		gateways[n] = gw
	}
	return gateways
}

// attachment is a sandbox's to network n, the one to 0 with the default route.
func attachment(n int, ns string) Veth {
	return Veth{
		Host: fmt.Sprint("s", n), MTU: 1400, Bridge: fmt.Sprint("br", n), Netns: ns, Peer: fmt.Sprint("eth", n),
		Addrs:    []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 31, byte(n), 2}), 24)},
		Gateways: []netip.Addr{netip.AddrFrom4([4]byte{172, 31, byte(n), 1})},
		Default4: n == 0, Default6: n == 0, Table: 1000 + n,
	}
}

// newMember makes a sandbox that is on all networks.
func newMember(t *testing.T) (attached [networks]Veth) {
	t.Helper()
	ns := newSandbox(t, "web")
	for n := range attached {
		attached[n] = attachment(n, ns)
		newAttached(t, attached[n])
	}
	return attached
}

func newAttached(t *testing.T, v Veth) {
	t.Helper()
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	wantUp(t, v)
}

func wantUp(t *testing.T, v Veth) {
	t.Helper()
	if err := v.Up(); err != nil {
		t.Fatal(err)
	}
}

// answer serves TCP: everybody who connects is told the text, then hears an echo.
func answer(t *testing.T, ns string, at netip.AddrPort, text string) {
	t.Helper()
	var ln net.Listener
	err := Do(ns, func() (err error) {
		ln, err = net.Listen("tcp4", at.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := io.WriteString(c, text); err == nil {
					_, _ = io.Copy(c, c)
				}
			}()
		}
	}()
}

// ask connects, from an address or from whichever the kernel takes, says something,
// and returns what it hears.
func ask(ns string, from netip.Addr, to netip.AddrPort) (heard string, err error) {
	dialer := net.Dialer{Timeout: patience}
	if from.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	var c net.Conn
	err = Do(ns, func() (err error) {
		c, err = dialer.Dial("tcp4", to.String())
		return err
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, ", ok"); err != nil {
		return "", err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	all, err := io.ReadAll(c)
	return string(all), err
}

// Replies leave by the network that the request came in on, whoever asks, and the
// strictest reverse path filter has nothing against it.
func TestRepliesLeaveWhereRequestsCame(t *testing.T) {
	newHost(t)
	gateways := newNetworks(t)
	ns := newSandbox(t, "web")
	strictReversePath(t, ns)
	answer(t, ns, netip.MustParseAddrPort("0.0.0.0:80"), "web")
	for n := range gateways {
		newAttached(t, attachment(n, ns))
	}
	for n, gw := range gateways {
		to := attachment(n, ns).Addrs[0].Addr()
		server := packetConn(t, ns, to, 53)
		for _, client := range []netip.Addr{farClient, strayClient(n), gw.Addrs[0].Addr()} {
			if heard, err := ask(gw.Netns, client, netip.AddrPortFrom(to, 80)); err != nil || heard != "web, ok" {
				t.Errorf("network %d, client %s: TCP: heard %q, %v", n, client, heard, err)
			}
			if err := exchange(packetConn(t, gw.Netns, client, 0), server); err != nil {
				t.Errorf("network %d, client %s: UDP: %v", n, client, err)
			}
		}
	}
}

// strictReversePath makes a namespace drop what comes in where its reply would not
// leave.
func strictReversePath(t *testing.T, ns string) {
	t.Helper()
	err := Do(ns, func() error {
		for _, name := range []string{"all", "default"} {
			if err := WriteSysctl("net.ipv4.conf."+name+".rp_filter", "1"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// packetConn opens a UDP socket for the time of the test.
func packetConn(t *testing.T, ns string, addr netip.Addr, port uint16) (c net.PacketConn) {
	t.Helper()
	err := Do(ns, func() (err error) {
		c, err = net.ListenPacket("udp4", netip.AddrPortFrom(addr, port).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What the sandbox begins itself leaves by its own address's network, and by the
// default route's where it names no address.
func TestOwnConnectionsLeaveByTheirAddress(t *testing.T) {
	newHost(t)
	gateways := newNetworks(t)
	far := netip.AddrPortFrom(farClient, 7000)
	for n, gw := range gateways {
		answer(t, gw.Netns, far, fmt.Sprint(n))
	}
	attached := newMember(t)
	for n, v := range attached {
		if heard, err := ask(v.Netns, v.Addrs[0].Addr(), far); err != nil || heard != fmt.Sprint(n, ", ok") {
			t.Errorf("from %s: answered %q, %v", v.Addrs[0].Addr(), heard, err)
		}
	}
	if heard, err := ask(attached[0].Netns, netip.Addr{}, far); err != nil || heard != "0, ok" {
		t.Errorf("from no address: answered %q, %v", heard, err)
	}
}
