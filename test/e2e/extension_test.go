package e2e

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/test/lab"
)

// Packets with extension headers (RFC 8200) are translated as others are.
func TestExtensionHeaders(t *testing.T) {
	w := newWorld(t)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	s := w.agent.Create("a", "--network", "both", "-p", "8080:7000", "-p", "8080:7000/udp")
	answer(s.Machine, "a", "7000")
	answer(w.client, "outside", "7000")
	for _, network := range []string{"tcp", "udp"} {
		for _, way := range []struct {
			m          *lab.Machine
			to, seenAs string
		}{{s.Machine, at(clientIP6, "7000"), hostIP6}, {w.client, at(hostIP6, "8080"), clientIP6}} {
			for name, option := range map[string]int{"destination": unix.IPV6_DSTOPTS, "hop-by-hop": unix.IPV6_HOPOPTS} {
				c := way.m.Talk(network, "", way.to)
				withOptions(t, c.Conn, option)
				for range 3 {
					reply, err := c.Ask()
					if err != nil || reply.Client.Addr().String() != way.seenAs {
						t.Errorf("%s with %s options to %s: %+v, %v", network, name, way.to, reply, err)
						break
					}
				}
			}
		}
	}
}

// withOptions has a socket send an extension header of that kind, all of it padding.
func withOptions(t *testing.T, conn net.Conn, kind int) {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptString(int(fd), unix.IPPROTO_IPV6, kind, "\x00\x00\x01\x04\x00\x00\x00\x00")
	})
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// No packet of a sandbox leaves with its private IPv6 address, whatever its kind, whether
// the host forwards or not; and none comes in by that address.
func TestPrivateAddress6StaysInside(t *testing.T)       { private6(t) }
func TestPrivateAddress6StaysInsideClsact(t *testing.T) { private6(t, "--attach", "clsact") }

func private6(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	s := w.agent.Create("a", "--network", "both")
	answer(s.Machine, "a", "7000")
	answer(w.client, "outside", "7000")
	const watch = "add table ip6 watch; add chain ip6 watch in { type filter hook prerouting priority -300; }; "
	w.client.Run("nft", watch+"add rule ip6 watch in iif eth0 ip6 saddr != { "+hostIP6+", fe80::/10, :: } counter")
	gateway := w.agent.Network("both").Gateways[1].String()
	s.Run("nft", watch+"add rule ip6 watch in iif eth0 ip6 saddr != { "+gateway+", "+clientIP6+", fe80::/10, :: } counter")
	w.client.Route(w.agent.Network("both").Subnets[1].String(), netip.MustParseAddr(hostIP6))
	for _, forward := range []string{"0", "1"} {
		w.host.Sysctl("net.ipv6.conf.all.forwarding", forward)
		for _, protocol := range []string{"6", "47", "50", "132", "200"} {
			if err := s.SendRaw(protocol, clientIP6, make([]byte, 40)); err != nil {
				t.Errorf("send protocol %s: %v", protocol, err)
			}
		}
		s.Try("ping", "-n", "-c", "1", "-W", "1", "-s", "3000", clientIP6)
		s.Try("ping", "-n", "-c", "1", "-W", "1", "-t", "1", clientIP6)
		for _, network := range []string{"tcp", "udp"} {
			w.client.Unreachable(network, at(s.Addr6.String(), "7000"))
		}
		s.MustAsk(s.Talk("udp", "", at(clientIP6, "7000"))) // what was sent before has come
	}
	for _, m := range []*lab.Machine{w.client, s.Machine} {
		if rules := m.Run("nft", "list", "table", "ip6", "watch"); !strings.Contains(rules, "counter packets 0 ") {
			t.Errorf("packets with addresses that are not to be seen came to %s:\n%s", m.Name, rules)
		}
	}
}

// A router advertisement of a sandbox changes nothing on its neighbours nor on the host
// (CVE-2020-10749, CVE-2020-13401).
func TestRouterAdvertisementsOfSandboxes(t *testing.T) {
	w := newWorld(t)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	a, b := w.agent.Create("a", "--network", "both"), w.agent.Create("b", "--network", "both")
	look := func() string {
		return b.IP("-6", "route") + b.IP("-6", "-o", "addr", "show", "scope", "global") + w.host.IP("-6", "route") +
			w.host.IP("-6", "-o", "addr", "show", "scope", "global")
	}
	b.Settle()
	before := look()
	// Lifetime 1800 s, and a prefix to make addresses of.
	advertisement := "\x86\x00\x00\x00\x40\x00\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00" +
		"\x03\x04\x40\xc0\x00\x00\x07\x08\x00\x00\x07\x08\x00\x00\x00\x00\x20\x01\x0d\xb8\x66\x66\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	a.Settle()
	for range 3 {
		sendAdvertisement(t, a.Machine, advertisement)
	}
	if _, err := a.Ask("udp", at(b.Addr6.String(), "9")); err == nil { // and so what was sent before has come
		t.Error("somebody answers where nobody should")
	}
	if after := look(); after != before {
		t.Errorf("after the advertisements\n%s\nbefore\n%s", after, before)
	}
}

// sendAdvertisement sends an ICMPv6 message to all nodes of the link, with hop limit 255.
func sendAdvertisement(t *testing.T, m *lab.Machine, message string) {
	t.Helper()
	m.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
			return err
		}
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		all := netip.MustParseAddr("ff02::1").As16()
		return unix.Sendto(fd, []byte(message), 0, &unix.SockaddrInet6{Addr: all, ZoneId: uint32(dev.Index)})
	})
}
