package e2e

import (
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// dnsmasq answers for ebnet.test with addr.
func dnsmasq(addr string) []string {
	return []string{
		"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root",
		"--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=0.0.0.0",
		"--address=/ebnet.test/" + addr,
	}
}

// dig asks until the server is up.
func dig(t *testing.T, run func(args ...string) lab.Result, server, port, want string) {
	t.Helper()
	lab.Eventually(t, wait, func() error {
		res := run("dig", "+short", "+time=1", "+tries=1", "@"+server, "-p", port, "any.ebnet.test")
		if got := strings.TrimSpace(res.Out); got != want {
			return lab.Still("dig says " + got + res.Err)
		}
		return nil
	})
}

func TestPublishedDNS(t *testing.T) {
	w := newWorld(t)
	w.agent.RunIn("dns", []string{"-p", "5353:53/udp", "-p", "5353:53"}, dnsmasq("192.0.2.77")...)
	dig(t, w.client.Try, hostIP, "5353", "192.0.2.77")
	dig(t, w.host.Try, "127.0.0.1", "5353", "192.0.2.77")
	if out := w.client.Run("dig", "+short", "+tcp", "+time=2", "@"+hostIP, "-p", "5353", "tcp.ebnet.test"); out != "192.0.2.77\n" {
		t.Errorf("dig +tcp: %q", out)
	}
}

func TestMasqueradedDNS(t *testing.T) {
	w := newWorld(t)
	w.client.Start(dnsmasq("192.0.2.78")...)
	w.agent.Ebnet("sandbox", "create", "db", "--dns", clientIP)
	dig(t, func(args ...string) lab.Result {
		return w.agent.Try(append([]string{"exec", "db", "--"}, args...)...)
	}, clientIP, "53", "192.0.2.78")
	// The sandbox's resolv.conf names the server, so names resolve.
	if out := w.agent.Ebnet("exec", "db", "--", "getent", "ahostsv4", "db.ebnet.test"); !strings.HasPrefix(out, "192.0.2.78") {
		t.Errorf("getent: %q", out)
	}
}
