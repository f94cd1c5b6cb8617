package e2e

import (
	"os"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/lab"
)

// The README's tour, on a host without forwarding and without any rule.
func TestTour(t *testing.T)       { tour(t) }
func TestTourClsact(t *testing.T) { tour(t, "--attach", "clsact") }

func tour(t *testing.T, flags ...string) {
	w := newHost(t)
	conntrack := w.host.ReadSysctl("net.netfilter.nf_conntrack_count")
	w.agent = w.host.Agent(flags...)
	nginx, accessLog := w.Nginx("web", 80)

	// ebnet run --name web -p 8080:80 -- nginx
	web := w.agent.RunIn("web", []string{"-p", "8080:80"}, nginx...)

	// On the host itself, by every name it has.
	for _, name := range []string{"localhost", "127.0.0.1", hostIP, w.agent.Gateway().String(), web.Addr.String()} {
		url := "http://" + name + ":8080/"
		if name == web.Addr.String() {
			url = "http://" + name + "/"
		}
		w.host.WaitGet(url)
		if page := w.host.Run("curl", "-sS", "-m5", url); !strings.HasPrefix(page, "hello from web") {
			t.Errorf("curl %s on the host: %q", url, page)
		}
	}

	// From another machine; nginx sees the client's own address.
	if page := w.client.Run("curl", "-sS", "-m5", "http://"+hostIP+":8080/seen"); page != "hello from web to "+clientIP+"\n" {
		t.Errorf("curl on the client: %q", page)
	}
	log, err := os.ReadFile(accessLog)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), clientIP+` - - `) || !strings.Contains(string(log), "/seen") {
		t.Errorf("nginx did not log the client's address:\n%s", log)
	}

	// A second sandbox reaches the outside as the host, and the first one as itself.
	w.client.Start("traffic", "serve", ":80").WaitFor("serving")
	w.agent.Ebnet("sandbox", "create", "db")
	db := w.agent.Sandbox("db")
	if page := w.agent.Ebnet("exec", "db", "--", "curl", "-sS", "-m5", "http://"+clientIP+"/"); !strings.HasPrefix(page, "hello "+hostIP+":") {
		t.Errorf("curl outside from db: %q", page)
	}
	if page := w.agent.Ebnet("exec", "db", "--", "curl", "-sS", "-m5", "http://"+web.Addr.String()+"/"); page != "hello from web to "+db.Addr.String()+"\n" {
		t.Errorf("curl web from db: %q", page)
	}

	// A port is published while db runs.
	w.agent.Ebnet("publish", "5353:53/udp", "--to", "db")
	db.AnswerUDP("db", ":53")
	if reply, err := w.client.Ask("udp", hostIP+":5353"); err != nil || reply.Client.Addr().String() != clientIP {
		t.Errorf("ask the published port: %+v, %v", reply, err)
	}

	w.lookAround(t)

	if got := w.host.ReadSysctl("net.ipv4.ip_forward"); got != "0" {
		t.Errorf("ip_forward is %s", got)
	}
	if rules := w.host.Run("nft", "list", "ruleset") + w.host.Run("iptables-save"); rules != "" {
		t.Errorf("there are rules:\n%s", rules)
	}
	if got := w.host.ReadSysctl("net.netfilter.nf_conntrack_count"); got != conntrack {
		t.Errorf("nf_conntrack_count went from %s to %s", conntrack, got)
	}
}

// lookAround is what the tour shows at its end: each listing has what was made.
func (w *world) lookAround(t *testing.T) {
	t.Helper()
	for command, want := range map[string]string{
		"port":                    "5353",
		"port web":                "8080",
		"sandbox ls":              "db",
		"sandbox ls -q":           "web",
		"network inspect default": `"bridge": "ebnet0"`,
		"network ls":              "default",
		"flows":                   clientIP,
		"status":                  "eth0",
		"version":                 "",
	} {
		if out := w.agent.Ebnet(strings.Fields(command)...); !strings.Contains(out, want) {
			t.Errorf("ebnet %s does not show %s:\n%s", command, want, out)
		}
	}
	status := w.agent.Status()
	if !status.Ready || len(status.Problems) > 0 || status.Endpoints != 2 || status.Published != 2 {
		t.Errorf("status: %+v", status)
	}
	var ports []api.Publish
	w.agent.JSON(&ports, "port", "-o", "json")
	if len(ports) != 2 {
		t.Errorf("ebnet port: %+v", ports)
	}
	metrics := w.agent.Scrape()
	for _, path := range []string{"publish", "masquerade", "forward"} {
		for _, direction := range []string{"ingress", "egress"} {
			label := []string{`path="` + path + `"`, `direction="` + direction + `"`}
			if path == "forward" && direction == "ingress" {
				// Between sandboxes a packet is decided on once, at its sender.
				continue
			}
			if metrics.Sum("ebnet_packets_total", label...) == 0 {
				t.Errorf("no packets counted for %s %s", path, direction)
			}
		}
	}
}

// A sandbox of `ebnet run` goes with its command, whose exit status is passed on.
func TestRunEndsWithItsCommand(t *testing.T) {
	w := newWorld(t)
	if res := w.agent.Try("run", "--name", "short", "--", "sh", "-c", "exit 7"); res.Code != 7 {
		t.Errorf("ebnet run -- exit 7: status %d, %s", res.Code, res.Err)
	}
	if res := w.agent.Try("run", "--name", "short", "--", "no-such-program"); res.Code != 127 {
		t.Errorf("ebnet run -- no-such-program: status %d, %s", res.Code, res.Err)
	}
	var left []api.Sandbox
	w.agent.JSON(&left, "sandbox", "ls", "-o", "json")
	if len(left) != 0 {
		t.Errorf("sandboxes left: %+v", left)
	}
}

// A sandbox of `ebnet run` is removed although ebnet run was killed.
func TestRunKilled(t *testing.T) {
	w := newWorld(t)
	s := w.agent.RunIn("doomed", []string{"-p", "8080:80"}, "sleep", "1000")
	s.Proc.Signal(9)
	s.Proc.Wait()
	lab.Eventually(t, wait, func() error {
		if res := w.agent.Try("sandbox", "inspect", "doomed"); res.Code == 0 {
			return lab.Still("sandbox doomed is there")
		}
		return nil
	})
	w.agent.Ebnet("sandbox", "create", "next", "-p", "8080:80")
}
