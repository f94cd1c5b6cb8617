package e2e

import (
	"testing"
)

func TestHairpin(t *testing.T)       { hairpin(t) }
func TestHairpinClsact(t *testing.T) { hairpin(t, "--attach", "clsact") }

// hairpin: a sandbox uses a published port of its host, another's and its own. The
// server sees the sandbox's own address, and the gateway's when it talks to itself.
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
				if reply := other.MustAsk(c); reply.Client.String() != c.LocalAddr().String() {
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
