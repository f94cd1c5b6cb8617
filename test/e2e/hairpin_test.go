package e2e

import (
	"net"
	"testing"
)

// hairpinPorts is the first of the ports that stand for a client's own.
const hairpinPorts = 61000

func TestHairpin(t *testing.T) { overFamilies(t, func(t *testing.T, f ipFamily) { hairpin(t, f) }) }
func TestHairpinClsact(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { hairpin(t, f, "--attach", "clsact") })
}

// hairpin: a sandbox uses a published port of its host, another's and its own. The
// server sees the sandbox's own address, and the gateway's when it talks to itself, with a
// port that tells it from what the sandbox sends the server directly.
func hairpin(t *testing.T, f ipFamily, flags ...string) {
	w := newFamilyWorld(t, f, flags...)
	web := w.create(f, "web", "-p", "8080:7000", "-p", "8080:7000/udp")
	web.AnswerTCP("web", at(f.all, "7000"))
	web.AnswerUDP("web", at(f.all, "7000"))
	other := w.create(f, "other")
	gateway := f.gateway(w.agent)
	for _, network := range []string{"tcp", "udp"} {
		for _, name := range []string{f.host, gateway.String()} {
			c := other.Talk(network, "", at(name, "8080"))
			for range 3 {
				if reply := other.MustAsk(c); reply.Client.Addr() != f.of(other) || reply.Client.Port() < hairpinPorts {
					t.Errorf("%s to %s: %s is seen as %s", network, name, c.LocalAddr(), reply.Client)
				}
			}
			c = web.Talk(network, "", at(name, "8080"))
			for range 3 {
				if reply := web.MustAsk(c); reply.Client.Addr() != gateway {
					t.Errorf("%s to itself by %s: seen as %s, want the gateway's address", network, name, reply.Client)
				}
			}
		}
	}
}

// A source port that has been to a sandbox by the host's published port goes to the same
// sandbox directly, and the other way round: the answers of one are not taken for the
// other's.
func TestHairpinThenDirect(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { hairpinThenDirect(t, f) })
}

func TestHairpinThenDirectClsact(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { hairpinThenDirect(t, f, "--attach", "clsact") })
}

func hairpinThenDirect(t *testing.T, f ipFamily, flags ...string) {
	w := newFamilyWorld(t, f, flags...)
	web := w.create(f, "web", "-p", "8080:7000", "-p", "8080:7000/udp")
	web.AnswerTCP("web", at(f.all, "7000"))
	web.AnswerUDP("web", at(f.all, "7000"))
	other := w.create(f, "other")
	published, direct := at(f.host, "8080"), at(f.of(web).String(), "7000")
	for _, network := range []string{"tcp", "udp"} {
		for i, remote := range []string{published, direct, published, published, direct, direct, published} {
			c := other.Talk(network, at(f.of(other).String(), "40000"), remote)
			if _, err := c.Ask(); err != nil {
				t.Errorf("%s, conversation %d, with %s: %v", network, i, remote, err)
			}
			// Without waiting in TIME_WAIT, which would refuse the port to the next.
			if tcp, ok := c.Conn.(*net.TCPConn); ok {
				tcp.SetLinger(0)
			}
			c.Close()
		}
	}
}

// Sandbox to sandbox, host to sandbox and sandbox to host: nothing is translated.
func TestDirect(t *testing.T) { overFamilies(t, func(t *testing.T, f ipFamily) { direct(t, f) }) }

func TestDirectClsact(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { direct(t, f, "--attach", "clsact") })
}

func direct(t *testing.T, f ipFamily, flags ...string) {
	w := newFamilyWorld(t, f, flags...)
	a, b := w.create(f, "a"), w.create(f, "b")
	for _, network := range []string{"tcp", "udp"} {
		if network == "tcp" {
			b.AnswerTCP("b", at(f.all, "7000"))
			w.host.AnswerTCP("host", at(f.all, "7001"))
		} else {
			b.AnswerUDP("b", at(f.all, "7000"))
			w.host.AnswerUDP("host", at(f.gateway(w.agent).String(), "7001"))
		}
		c := a.Talk(network, "", at(f.of(b).String(), "7000"))
		if reply := a.MustAsk(c); reply.Client.String() != c.LocalAddr().String() {
			t.Errorf("%s between sandboxes: %s is seen as %s", network, c.LocalAddr(), reply.Client)
		}
		c = w.host.Talk(network, "", at(f.of(b).String(), "7000"))
		if reply := w.host.MustAsk(c); reply.Client.Addr() != f.gateway(w.agent) {
			t.Errorf("%s host to sandbox: seen as %s", network, reply.Client)
		}
		c = a.Talk(network, "", at(f.gateway(w.agent).String(), "7001"))
		if reply := a.MustAsk(c); reply.Client.String() != c.LocalAddr().String() {
			t.Errorf("%s sandbox to host: %s is seen as %s", network, c.LocalAddr(), reply.Client)
		}
	}
}
