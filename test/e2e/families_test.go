package e2e

import (
	"errors"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/test/lab"
)

// A sandbox that has IPv4 alone is published on that alone, and said so; on the host itself
// [::1] leads to it all the same.
func TestPublishOfIPv4Alone(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("old", "-p", "8080:7000", "-p", "8080:7000/udp")
	answer(s.Machine, "old", "7000")
	if out := w.agent.Ebnet("port", "old"); strings.Contains(out, "[::]") || !strings.Contains(out, "7000/tcp -> 0.0.0.0:8080") {
		t.Errorf("ebnet port:\n%s", out)
	}
	for _, host := range []string{"[::]", "[::1]", "[" + hostIP6 + "]"} {
		res := w.agent.Try("publish", host+":8081:7000", "--to", "old")
		if res.Code != 1 || !strings.Contains(res.Err, "sandbox old has no IPv6 address") || strings.Count(res.Err, "\n") != 1 {
			t.Errorf("publish on %s: %d, %s", host, res.Code, res.Err)
		}
	}
	for _, network := range []string{"tcp", "udp"} {
		c := w.host.Talk(network, "", "[::1]:8080")
		w.host.MustAsk(c)
		if got := c.RemoteAddr().String(); got != "[::1]:8080" {
			t.Errorf("%s: the peer of a socket to [::1]:8080 is %s", network, got)
		}
	}
	w.client.Unreachable("tcp", at(hostIP6, "8080"))
	w.client.Unreachable("udp", at(hostIP6, "8080"))
	if err := w.host.Bind("tcp6", "[::1]:8080"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("bind [::1]:8080: %v", err)
	}
	// Who has [::1] already keeps it.
	ln := w.host.ListenTCP("[::1]:8082")
	if res := w.agent.Try("publish", "8082:7000", "--to", "old"); res.Code != 1 || !strings.Contains(res.Err, "[::1]:8082/tcp is in use by process") {
		t.Errorf("publish a port of which a process has [::1]: %d, %s", res.Code, res.Err)
	}
	ln.Close()
	w.agent.Ebnet("publish", "8082:7000", "--to", "old")
}

// A sandbox that has IPv6 alone.
func TestIPv6Alone(t *testing.T) {
	w := newWorld(t)
	w.agent.Ebnet("network", "create", "six", "--ipv6", "--ipv4=false", "--subnet", "fd00:6::/64", "--gateway", "fd00:6::ff")
	s := w.agent.Create("new", "--network", "six,ip6=fd00:6::9", "-p", "8080:7000", "-p", "8080:7000/udp")
	if s.Addr.String() != "fd00:6::9" || len(s.Info.Endpoints[0].Addresses) != 1 {
		t.Fatalf("endpoints %+v", s.Info.Endpoints)
	}
	answer(s.Machine, "new", "7000")
	answer(w.client, "outside", "7000")
	if out := w.agent.Ebnet("port", "new"); strings.Contains(out, "0.0.0.0") || !strings.Contains(out, "7000/tcp -> [::]:8080") {
		t.Errorf("ebnet port:\n%s", out)
	}
	if res := w.agent.Try("publish", "127.0.0.1:8081:7000", "--to", "new"); res.Code != 1 || !strings.Contains(res.Err, "sandbox new has no IPv4 address") {
		t.Errorf("publish on IPv4: %d, %s", res.Code, res.Err)
	}
	for _, network := range []string{"tcp", "udp"} {
		for to, m := range map[string]*lab.Machine{
			at(hostIP6, "8080"): w.client, "[::1]:8080": w.host, "[fd00:6::9]:7000": w.host, at(clientIP6, "7000"): s.Machine,
		} {
			if _, err := m.Ask(network, to); err != nil {
				t.Errorf("%s asks %s: %v", m.Name, to, err)
			}
		}
		w.client.Unreachable(network, at(hostIP, "8080"))
		w.host.Unreachable(network, "127.0.0.1:8080")
	}
	if out := s.Run("ip", "-4", "route"); out != "" {
		t.Errorf("IPv4 routes:\n%s", out)
	}
	w.agent.Ebnet("sandbox", "rm", "new")
	w.agent.Ebnet("network", "rm", "six")
}

// Sockets of IPv6 that speak to v4-mapped addresses are led as IPv4's are.
func TestMappedAddresses(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("old", "-p", "8080:7000", "-p", "8080:7000/udp")
	answer(s.Machine, "old", "7000")
	for _, addr := range []string{"127.0.0.1", hostIP} {
		to := netip.AddrPortFrom(netip.AddrFrom16(netip.MustParseAddr(addr).As16()), 8080)
		for name, ask := range map[string]func(netip.AddrPort) (netip.AddrPort, error){"tcp": askMappedTCP, "udp": askMappedUDP, "udp, connected": askConnectedUDP} {
			err := netdev.Do(w.host.Path, func() error {
				from, err := ask(to)
				if err == nil && from != to {
					t.Errorf("%s: the peer of %s is %s", name, to, from)
				}
				return err
			})
			if err != nil {
				t.Errorf("%s to %s: %v", name, to, err)
			}
		}
	}
}

// askMappedTCP asks by an IPv6 socket, and says who its peer is.
func askMappedTCP(to netip.AddrPort) (netip.AddrPort, error) {
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, sockaddr6(to)); err != nil {
		return netip.AddrPort{}, err
	}
	if _, err := syscall.Write(fd, []byte("question\n")); err != nil {
		return netip.AddrPort{}, err
	}
	if _, err := syscall.Read(fd, make([]byte, 100)); err != nil {
		return netip.AddrPort{}, err
	}
	peer, err := syscall.Getpeername(fd)
	return addrPortOf(peer), err
}

// askMappedUDP asks by an IPv6 socket that is not connected, and says who answers.
func askMappedUDP(to netip.AddrPort) (netip.AddrPort, error) {
	return askUDP(func(fd int, question []byte) error { return syscall.Sendto(fd, question, 0, sockaddr6(to)) })
}

// askConnectedUDP asks by an IPv6 socket that is connected, and says who answers.
func askConnectedUDP(to netip.AddrPort) (netip.AddrPort, error) {
	return askUDP(func(fd int, question []byte) error {
		if err := syscall.Connect(fd, sockaddr6(to)); err != nil {
			return err
		}
		_, err := syscall.Write(fd, question)
		return err
	})
}

func askUDP(send func(fd int, question []byte) error) (netip.AddrPort, error) {
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer syscall.Close(fd)
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Sec: 5}); err != nil {
		return netip.AddrPort{}, err
	}
	if err := send(fd, []byte("question\n")); err != nil {
		return netip.AddrPort{}, err
	}
	_, from, err := syscall.Recvfrom(fd, make([]byte, 100), 0)
	return addrPortOf(from), err
}

func sockaddr6(p netip.AddrPort) syscall.Sockaddr {
	return &syscall.SockaddrInet6{Port: int(p.Port()), Addr: p.Addr().As16()}
}

func addrPortOf(sa syscall.Sockaddr) netip.AddrPort {
	in6, ok := sa.(*syscall.SockaddrInet6)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(in6.Addr), uint16(in6.Port))
}

// What IPv6 loses by itself when a device goes down comes back: addresses of bridges and of
// sandboxes, and routes and rules.
func TestIPv6ComesBack(t *testing.T) {
	w := newWorld(t)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	w.agent.Ebnet("network", "create", "more", "--ipv6")
	s := w.agent.Create("a", "--network", "both", "--network", "more", "-p", "8080:7000")
	answer(s.Machine, "a", "7000")
	answer(w.client, "outside", "7000")
	works := func() error {
		for _, way := range []struct {
			m  *lab.Machine
			to string
		}{
			{w.client, at(hostIP6, "8080")},
			{w.host, at(s.Addr6.String(), "7000")},
			{s.Machine, at(clientIP6, "7000")},
		} {
			if _, err := way.m.AskSoon("tcp", way.to); err != nil {
				return err
			}
		}
		return nil
	}
	if err := works(); err != nil {
		t.Fatal(err)
	}
	n := w.agent.Network("both")
	for name, harm := range map[string]func(){
		"the bridge goes down":     func() { w.host.IP("link", "set", n.Bridge, "down") },
		"its address goes":         func() { w.host.IP("addr", "del", n.Gateways[1].String()+"/64", "dev", n.Bridge) },
		"the host's end is down":   func() { w.host.IP("link", "set", s.Info.Endpoints[0].HostInterface, "down") },
		"the bridge's IPv6 is off": func() { w.host.Sysctl("net.ipv6.conf."+n.Bridge+".disable_ipv6", "1") },
	} {
		w.agent.Idle()
		harm()
		lab.Eventually(t, wait, func() error {
			if err := works(); err != nil {
				return lab.Still(name + ": " + err.Error())
			}
			return nil
		})
	}
	// Of what happens inside nobody tells the host: a new agent looks.
	s.IP("link", "set", "eth0", "down")
	s.IP("link", "set", "eth0", "up")
	s.IP("-6", "rule", "flush")
	s.IP("-6", "rule", "add", "lookup", "main")
	w.agent.Kill()
	w.agent.Start()
	if err := works(); err != nil {
		t.Errorf("after the sandbox lost its addresses: %v", err)
	}
	if got := s.Run("ip", "-6", "rule"); strings.Count(got, "lookup 100") != 2 {
		t.Errorf("rules:\n%s", got)
	}
}

// Nothing of IPv6 is left, and nothing of the host's own changes.
func TestPurgeOfIPv6(t *testing.T) {
	w := newHost(t)
	w.host.Settle()
	before := w.host.Snapshot()
	w.agent = w.host.Agent()
	w.host.IP("link", "add", "br7", "type", "bridge")
	w.host.IP("link", "set", "br7", "addrgenmode", "none")
	w.host.IP("link", "set", "br7", "up")
	bridge := w.host.IP("-o", "addr", "show", "dev", "br7")
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	w.agent.Ebnet("network", "create", "mine", "--ipv6", "--bridge", "br7")
	s := w.agent.Create("a", "--network", "both", "--network", "mine", "-p", "8080:7000")
	answer(s.Machine, "a", "7000")
	if _, err := w.client.Ask("tcp", at(hostIP6, "8080")); err != nil {
		t.Error(err)
	}
	w.agent.Purge()
	if after := w.host.IP("-o", "addr", "show", "dev", "br7"); after != bridge {
		t.Errorf("addresses of a bridge that was there:\n%swere\n%s", after, bridge)
	}
	w.host.IP("link", "del", "br7")
	for _, diff := range before.Diff(w.host.Snapshot()) {
		t.Errorf("after purge: %s", diff)
	}
	// The store has stayed, and brings back what is ebnet's.
	w.agent.Start()
	lab.Eventually(t, wait, func() error {
		if res := w.agent.Try("sandbox", "inspect", "a"); res.Code != 0 {
			return lab.Still(res.Err)
		}
		return nil
	})
	if got := w.host.IP("-6", "addr", "show", "dev", w.agent.Network("both").Bridge); !strings.Contains(got, w.agent.Network("both").Gateways[1].String()) {
		t.Errorf("addresses of the bridge after a new start:\n%s", got)
	}
}
