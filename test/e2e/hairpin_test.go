package e2e

import (
	"net"
	"testing"
)

// hairpinPorts is the first of the ports that stand for a client's own.
const hairpinPorts = 61000

func TestHairpin(t *testing.T)       { hairpin(t) }
func TestHairpinClsact(t *testing.T) { hairpin(t, "--attach", "clsact") }

// hairpin: a sandbox uses a published port of its host, another's and its own. The
// server sees the sandbox's own address, and the gateway's when it talks to itself, with a
// port that tells it from what the sandbox sends the server directly.
func hairpin(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	web := w.agent.Create("web", "-p", "8080:7000", "-p", "8080:7000/udp")
	web.AnswerTCP("web", ":7000")
	web.AnswerUDP("web", ":7000")
	other := w.agent.Create("other")
	gateway := w.agent.Gateway()
	for _, network := range []string{"tcp", "udp"} {
		for _, name := range []string{hostIP, gateway.String()} {
			c := other.Talk(network, "", name+":8080")
			for range 3 {
				if reply := other.MustAsk(c); reply.Client.Addr() != other.Addr || reply.Client.Port() < hairpinPorts {
					t.Errorf("%s to %s: %s is seen as %s", network, name, c.LocalAddr(), reply.Client)
				}
			}
			c = web.Talk(network, "", name+":8080")
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
func TestHairpinThenDirect(t *testing.T)       { hairpinThenDirect(t) }
func TestHairpinThenDirectClsact(t *testing.T) { hairpinThenDirect(t, "--attach", "clsact") }

func hairpinThenDirect(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	web := w.agent.Create("web", "-p", "8080:7000", "-p", "8080:7000/udp")
	web.AnswerTCP("web", ":7000")
	web.AnswerUDP("web", ":7000")
	other := w.agent.Create("other")
	published, direct := hostIP+":8080", addrPort(web, "7000")
	for _, network := range []string{"tcp", "udp"} {
		for i, remote := range []string{published, direct, published, published, direct, direct, published} {
			c := other.Talk(network, addrPort(other, "40000"), remote)
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
func TestDirect(t *testing.T)       { direct(t) }
func TestDirectClsact(t *testing.T) { direct(t, "--attach", "clsact") }

func direct(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	a, b := w.agent.Create("a"), w.agent.Create("b")
	for _, network := range []string{"tcp", "udp"} {
		if network == "tcp" {
			b.AnswerTCP("b", ":7000")
			w.host.AnswerTCP("host", ":7001")
		} else {
			b.AnswerUDP("b", ":7000")
			w.host.AnswerUDP("host", w.agent.Gateway().String()+":7001")
		}
		c := a.Talk(network, "", addrPort(b, "7000"))
		if reply := a.MustAsk(c); reply.Client.String() != c.LocalAddr().String() {
			t.Errorf("%s between sandboxes: %s is seen as %s", network, c.LocalAddr(), reply.Client)
		}
		c = w.host.Talk(network, "", addrPort(b, "7000"))
		if reply := w.host.MustAsk(c); reply.Client.Addr() != w.agent.Gateway() {
			t.Errorf("%s host to sandbox: seen as %s", network, reply.Client)
		}
		c = a.Talk(network, "", w.agent.Gateway().String()+":7001")
		if reply := a.MustAsk(c); reply.Client.String() != c.LocalAddr().String() {
			t.Errorf("%s sandbox to host: %s is seen as %s", network, c.LocalAddr(), reply.Client)
		}
	}
}
