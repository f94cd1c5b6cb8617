package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/test/lab"
)

// farWorld is a world whose client routes between the host and a machine behind it.
type farWorld struct {
	*world
	far    *lab.Machine
	addr   string // far's
	router string // the client's, towards far
}

func newFarWorld(t *testing.T, f ipFamily, flags ...string) *farWorld {
	t.Helper()
	w := &farWorld{world: newHost(t), addr: "203.0.113.2", router: "203.0.113.1"}
	w.far = w.Lab.Machine("far")
	// a router asks for its neighbours from its link-local address, and only when that is no
	// longer tentative: a second or two after the link is up, which a program does not wait
	for _, m := range []*lab.Machine{w.client, w.far} {
		m.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	}
	w.Lab.Wire(
		lab.Port{On: w.client, Dev: "eth1", Addr: "203.0.113.1/24", Addr6: "2001:db8:200::1/64"},
		lab.Port{On: w.far, Dev: "eth0", Addr: "203.0.113.2/24", Addr6: "2001:db8:200::2/64"},
	)
	w.client.Sysctl("net.ipv4.ip_forward", "1")
	w.client.Sysctl("net.ipv6.conf.all.forwarding", "1")
	if f.all != "" {
		w.addr, w.router = "2001:db8:200::2", "2001:db8:200::1"
	}
	any := map[bool]string{true: "0.0.0.0/0", false: "::/0"}[f.all == ""]
	w.far.Route(any, netip.MustParseAddr(w.router))
	w.host.Route(any, netip.MustParseAddr(f.client))
	// errors are not rationed: a test makes more of them in a second than a route sees in a day
	for _, m := range []*lab.Machine{w.client, w.host, w.far} {
		m.Sysctl("net.ipv4.icmp_ratelimit", "0")
		m.Sysctl("net.ipv6.icmp.ratelimit", "0")
	}
	w.agent = w.host.Agent(flags...)
	if f.network != "default" {
		w.agent.Ebnet("network", "create", f.network, "--ipv6")
	}
	return w
}

// narrow makes the wire between router and far carry no more than 1280 bytes.
func (w *farWorld) narrow() {
	w.client.IP("link", "set", "eth1", "mtu", "1280")
	w.far.IP("link", "set", "eth0", "mtu", "1280")
}

// Both ends believe in 1500 bytes, and one wire on the way carries 1280: what is too big is
// answered by the router, and the answer finds its way through the translation.
func TestNarrowPath(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) {
		w := newFarWorld(t, f)
		w.narrow()
		s := w.create(f, "a", "-p", "8080:7000")
		push(t, "sandbox to far", s.Machine, w.far, at(f.all, "7000"), at(w.addr, "7000"))
		// far knows how narrow it is and says so; the answers of a server do not fit
		s.Sysctl("net.ipv4.tcp_mtu_probing", "0")
		pull(t, "far from sandbox", w.far, s.Machine, at(f.all, "7000"), at(f.host, "8080"))
		if out := s.Run("tracepath", "-n", "-m", "5", w.addr); !strings.Contains(out, "pmtu 1280") {
			t.Errorf("tracepath from a sandbox:\n%s", out)
		}
		datagramsFit(t, "sandbox to far", s.Machine, w.far, at(w.addr, "7001"), at(f.all, "7001"), 1280)
	})
}

// A network with a smaller MTU than the uplink has: senders outside are told.
func TestNarrowNetwork(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) {
		w := newFarWorld(t, f)
		flags := []string{"network", "create", "narrow", "--mtu", "1280"}
		if f.all != "" {
			flags = append(flags, "--ipv6")
		}
		w.agent.Ebnet(flags...)
		s := w.agent.Create("a", "--network", "narrow", "-p", "8080:7000", "-p", "7001:7001/udp")
		push(t, "far to sandbox", w.far, s.Machine, at(f.all, "7000"), at(f.host, "8080"))
		datagramsFit(t, "far to sandbox", w.far, s.Machine, at(f.host, "7001"), at(f.all, "7001"), 1280)
		if n := w.agent.Scrape().Sum("ebnet_dropped_packets_total", `reason="mtu"`); n == 0 {
			t.Error("no drop is counted as of the MTU")
		}
	})
}

// An uplink that is narrower than the networks: sandboxes are told.
func TestNarrowUplink(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) {
		w := newFarWorld(t, f)
		w.host.IP("link", "set", "eth0", "mtu", "1280")
		w.client.IP("link", "set", "eth0", "mtu", "1280")
		s := w.create(f, "a", "-p", "8080:7000")
		push(t, "sandbox to far", s.Machine, w.far, at(f.all, "7000"), at(w.addr, "7000"))
		pull(t, "far from sandbox", w.far, s.Machine, at(f.all, "7000"), at(f.host, "8080"))
		datagramsFit(t, "sandbox to far", s.Machine, w.far, at(w.addr, "7001"), at(f.all, "7001"), 1280)
	})
}

// IPv4 packets that may be fragmented are, on the way out and on the way in.
func TestFragmentsAreMade(t *testing.T) {
	f := ipFamilies[0]
	w := newFarWorld(t, f)
	w.agent.Ebnet("network", "create", "narrow", "--mtu", "1280")
	in := w.agent.Create("in", "--network", "narrow", "-p", "7001:7001/udp")
	wide(t, "into a narrow network", w.far, in.Machine, at(f.host, "7001"), ":7001", "203.0.113.2")
	w.host.IP("link", "set", "eth0", "mtu", "1280")
	w.client.IP("link", "set", "eth0", "mtu", "1280")
	out := w.agent.Create("out")
	wide(t, "out of a narrow uplink", out.Machine, w.far, at(w.addr, "7001"), ":7001", f.host)
}

// Datagrams of many fragments go through, both ways.
func TestBigDatagrams(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) {
		w := newFarWorld(t, f)
		s := w.create(f, "a", "-p", "7000:7000/udp")
		other := w.create(f, "b")
		for _, way := range []struct {
			name     string
			from, to *lab.Machine
			remote   string
		}{
			{"masquerade", s.Machine, w.far, at(w.addr, "7000")},
			{"published", w.far, s.Machine, at(f.host, "7000")},
			{"hairpin", other.Machine, s.Machine, at(f.host, "7000")},
			{"neighbours", other.Machine, s.Machine, at(f.of(s).String(), "7000")},
			{"localhost", w.host, s.Machine, at(f.loopback, "7000")},
		} {
			echoed(t, way.name, way.from, way.to, at(f.all, "7000"), way.remote)
		}
		if out := s.Run("ping", "-n", "-c", "3", "-i", "0.2", "-s", "8000", "-W", "2", w.addr); !strings.Contains(out, "3 received") {
			t.Errorf("big pings:\n%s", out)
		}
	})
}

// echoed sends a datagram of 26,000 bytes and wants it back.
func echoed(t *testing.T, what string, from, to *lab.Machine, listen, remote string) {
	t.Helper()
	server := to.ListenUDP(listen)
	defer server.Close()
	go func() {
		buf := make([]byte, 64<<10)
		if n, peer, err := server.ReadFromUDPAddrPort(buf); err == nil {
			server.WriteToUDPAddrPort(buf[:n], peer)
		}
	}()
	client, err := from.Dial("udp", "", remote)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	question, answer := bytes.Repeat([]byte("big datagram "), 2000), make([]byte, 64<<10)
	if _, err := client.Write(question); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	client.SetReadDeadline(time.Now().Add(3 * time.Second))
	if n, err := client.Read(answer); !bytes.Equal(answer[:n], question) {
		t.Errorf("%s: %d of %d bytes came back: %v", what, n, len(question), err)
	}
}

// Every hop on the way answers, and the host is one of them.
func TestTraceroute(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) {
		w := newFarWorld(t, f)
		s := w.create(f, "a", "-p", "8080:80")
		server := s.ListenTCP(at(f.all, "80"))
		go func() {
			for {
				c, err := server.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		out := []string{f.gateway(w.agent).String(), f.client, w.addr}
		for _, how := range []string{"-U", "-I", "-T"} {
			hops(t, "sandbox to far "+how, s.Run("traceroute", "-n", "-q", "1", "-w", "2", "-m", "6", how, w.addr), out)
		}
		hops(t, "sandbox to far, mtr", s.Run("mtr", "-n", "-r", "-c", "2", "-i", "0.2", w.addr), out)
		hops(t, "sandbox to far, tracepath", s.Run("tracepath", "-n", "-m", "6", w.addr), out)
		hops(t, "far to a published port", w.far.Run("traceroute", "-n", "-q", "1", "-w", "2", "-m", "6", "-T", "-p", "8080", f.host),
			[]string{w.router, f.host, f.host})
	})
}

// hops compares the hops that a program names with those that are wanted.
func hops(t *testing.T, what, out string, want []string) {
	t.Helper()
	var have []string
	for _, line := range strings.Split(out, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.ContainsAny(fields[0][:1], "123456789") {
			continue
		}
		addr := fields[1]
		if _, err := netip.ParseAddr(addr); err == nil && (len(have) == 0 || have[len(have)-1] != addr || strings.Contains(what, "published")) {
			have = append(have, addr)
		}
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		t.Errorf("%s: hops %v, want %v\n%s", what, have, want, out)
	}
}

// push sends a megabyte from one machine to a server on another.
func push(t *testing.T, what string, from, to *lab.Machine, listen, remote string) {
	t.Helper()
	transfer(t, what, from, to, listen, remote, func(server, client net.Conn) (io.Reader, io.Writer) { return server, client })
}

// pull has a server on one machine send a megabyte to another.
func pull(t *testing.T, what string, from, to *lab.Machine, listen, remote string) {
	t.Helper()
	transfer(t, what, from, to, listen, remote, func(server, client net.Conn) (io.Reader, io.Writer) { return client, server })
}

func transfer(t *testing.T, what string, from, to *lab.Machine, listen, remote string, ends func(server, client net.Conn) (io.Reader, io.Writer)) {
	t.Helper()
	const size = 1 << 20
	ln := to.ListenTCP(listen)
	defer ln.Close()
	client, err := from.Dial("tcp", "", remote)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	r, wr := ends(server, client)
	go func() {
		wr.Write(make([]byte, size))
		wr.(net.Conn).Close()
	}()
	r.(net.Conn).SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := io.Copy(io.Discard, r); n != size {
		t.Errorf("%s: %d of %d bytes arrived: %v", what, n, size, err)
	}
}

// datagramsFit sends datagrams of 1400 bytes that must not be fragmented: the sender learns
// how much the path carries, and what fits arrives.
func datagramsFit(t *testing.T, what string, from, to *lab.Machine, remote, listen string, mtu int) {
	t.Helper()
	server := to.ListenUDP(listen)
	defer server.Close()
	client, err := from.Dial("udp", "", remote)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	six := strings.HasPrefix(remote, "[")
	dontFragment(t, client, six)
	lab.Eventually(t, 5*time.Second, func() error {
		if _, err := client.Write(make([]byte, 1400)); errors.Is(err, unix.EMSGSIZE) {
			return nil
		}
		return errors.New(what + ": the sender of what does not fit is not told")
	})
	headers := 28
	if six {
		headers = 48
	}
	lab.Eventually(t, 5*time.Second, func() error {
		_, err := client.Write(make([]byte, mtu-headers))
		return err
	})
	server.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := server.Read(make([]byte, 2000)); n != mtu-headers {
		t.Errorf("%s: %d bytes arrived (%v), want the %d that fit", what, n, err, mtu-headers)
	}
}

// wide sends a datagram of 1400 bytes that may be fragmented, and wants it whole, from seen.
func wide(t *testing.T, what string, from, to *lab.Machine, remote, listen, seen string) {
	t.Helper()
	server := to.ListenUDP(listen)
	defer server.Close()
	client, err := from.Dial("udp", "", remote)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	socketOption(t, client, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	for range 3 {
		if _, err := client.Write(make([]byte, 1400)); err != nil {
			t.Fatal(err)
		}
		n, peer, err := server.ReadFromUDPAddrPort(make([]byte, 2000))
		if n != 1400 || peer.Addr().Unmap().String() != seen {
			t.Errorf("%s: %d bytes from %s (%v), want 1400 from %s", what, n, peer, err, seen)
			return
		}
	}
}

func dontFragment(t *testing.T, c net.Conn, six bool) {
	t.Helper()
	if six {
		socketOption(t, c, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
	} else {
		socketOption(t, c, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	}
}

func socketOption(t *testing.T, c net.Conn, level, option, value int) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) })
	if err != nil {
		t.Fatal(err)
	}
}
