package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

func TestAgentKilledUnderLoad(t *testing.T)       { killed(t) }
func TestAgentKilledUnderLoadClsact(t *testing.T) { killed(t, "--attach", "clsact") }

// killed: while the agent is dead, everything goes on, new connections too, and when it
// is back it finds all as it should be.
func killed(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	w.agent.Ebnet("network", "create", "both", "--ipv6")
	iperf := w.agent.RunIn("iperf", []string{"--network", "both", "-p", "5201:5201"}, "iperf3", "-s", "--forceflush")
	iperf.Proc.WaitFor("Server listening")
	a := w.agent.Create("a", "--network", "both", "-p", "8080:7000", "-p", "8080:7000/udp")
	answer(a.Machine, "a", "7000")
	answer(w.client, "outside", "7000")

	old := []struct {
		m *lab.Machine
		c *lab.Conversation
	}{
		{w.client, w.client.Talk("tcp", "", hostIP+":8080")},
		{w.client, w.client.Talk("udp", "", hostIP+":8080")},
		{a.Machine, a.Talk("tcp", "", clientIP+":7000")},
		{a.Machine, a.Talk("udp", "", clientIP+":7000")},
		{w.host, w.host.Talk("tcp", "", "127.0.0.1:8080")},
		{w.host, w.host.Talk("udp", "", "127.0.0.1:8080")},
		{w.client, w.client.Talk("tcp", "", at(hostIP6, "8080"))},
		{w.client, w.client.Talk("udp", "", at(hostIP6, "8080"))},
		{a.Machine, a.Talk("tcp", "", at(clientIP6, "7000"))},
		{a.Machine, a.Talk("udp", "", at(clientIP6, "7000"))},
		{w.host, w.host.Talk("tcp", "", "[::1]:8080")},
		{w.host, w.host.Talk("udp", "", "[::1]:8080")},
	}
	works := func(when string) {
		t.Helper()
		for _, o := range old {
			if _, err := o.c.Ask(); err != nil {
				t.Errorf("%s: an old conversation of %s: %v", when, o.m.Name, err)
			}
		}
		for range 20 {
			for _, network := range []string{"tcp", "udp"} {
				for _, way := range []struct {
					m      *lab.Machine
					remote string
				}{
					{w.client, hostIP + ":8080"},
					{w.host, "127.0.0.1:8080"},
					{w.host, hostIP + ":8080"},
					{a.Machine, clientIP + ":7000"},
					{iperf.Machine, addrPort(a, "7000")},
					{iperf.Machine, hostIP + ":8080"},
					{w.client, at(hostIP6, "8080")},
					{w.host, "[::1]:8080"},
					{a.Machine, at(clientIP6, "7000")},
					{iperf.Machine, at(a.Addr6.String(), "7000")},
					{iperf.Machine, at(hostIP6, "8080")},
				} {
					if _, err := way.m.Ask(network, way.remote); err != nil {
						t.Errorf("%s: a new %s conversation of %s with %s: %v", when, network, way.m.Name, way.remote, err)
					}
				}
			}
		}
	}
	works("agent alive")

	load := w.client.Start("iperf3", "-c", hostIP, "-p", "5201", "-t", "8", "-J")
	iperf.Proc.WaitFor("Accepted connection")
	w.agent.Kill()
	works("agent dead")
	w.agent.Start()
	status := w.agent.Status()
	if !status.Ready || len(status.Problems) != 0 || status.Endpoints != 2 || status.Published != 6 {
		t.Errorf("status after the restart: %+v", status)
	}
	works("agent back")
	if !load.Running() {
		t.Errorf("iperf3 ended before the agent was back:\n%s", load.Output())
	}
	if code := load.Wait(); code != 0 {
		t.Fatalf("iperf3: status %d\n%s", code, load.Output())
	}
	var report struct {
		End struct {
			Received struct {
				Bytes float64 `json:"bytes"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(load.Output()), &report); err != nil || report.End.Received.Bytes == 0 {
		t.Errorf("iperf3: %v\n%s", err, load.Output())
	}
	// The one that came back is in charge.
	w.agent.Ebnet("publish", "8081:7000", "--to", "a")
	if _, err := w.client.Ask("tcp", hostIP+":8081"); err != nil {
		t.Error(err)
	}
	w.agent.Ebnet("sandbox", "rm", "a")
	w.client.Unreachable("tcp", hostIP+":8080")
}

// SIGTERM leaves the datapath running, and says so.
func TestAgentStopped(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000")
	s.AnswerTCP("a", ":7000")
	w.agent.Stop()
	if _, err := w.client.Ask("tcp", hostIP+":8080"); err != nil {
		t.Error(err)
	}
	if res := w.agent.Try("status"); res.Code != 3 {
		t.Errorf("status without an agent: %d, %s", res.Code, res.Err)
	}
	w.agent.Start()
}

func TestPurge(t *testing.T)       { purge(t) }
func TestPurgeClsact(t *testing.T) { purge(t, "--attach", "clsact") }

// purge leaves the host as it was before the first agent started, whatever was made,
// and what others put on the same hooks.
func purge(t *testing.T, flags ...string) {
	w := newHost(t)
	w.host.Sysctl("net.ipv4.ip_local_reserved_ports", "40007")
	w.Wire(lab.Port{On: w.client, Dev: "eth1"}, lab.Port{On: w.host, Dev: "eth1", Addr: "203.0.113.1/24"})
	// Somebody else's programs on a device that becomes an uplink.
	w.host.ForeignPrograms("eth1")
	w.host.Settle()
	before := w.host.Snapshot()
	if !strings.Contains(before["filters"], "foreign") {
		t.Fatalf("somebody else's filter is not in the snapshot: %s", before["filters"])
	}

	w.agent = w.host.Agent(flags...)
	nginx, _ := w.Nginx("web", 80)
	web := w.agent.RunIn("web", []string{"-p", "8080:80"}, nginx...)
	w.agent.Create("a", "-p", "40000-40003:80-83", "-p", "127.0.0.1:8081:80/udp")
	w.client.WaitGet("http://" + hostIP + ":8080/")
	w.host.WaitGet("http://localhost:8080/")
	if len(before.Diff(w.host.Snapshot())) == 0 {
		t.Error("a running agent does not show in a snapshot")
	}
	w.agent.Purge()
	if web.Proc.Wait() == 0 {
		t.Error("ebnet run ended as if its command had succeeded")
	}
	for _, diff := range before.Diff(w.host.Snapshot()) {
		t.Errorf("after purge: %s", diff)
	}

	// The store stays: the next agent brings all back but what ebnet run made.
	w.agent.Start()
	if ports := w.agent.Ports(); len(ports) != 2 {
		t.Errorf("ports after the restart: %+v", ports)
	}
	a := w.agent.Sandbox("a")
	a.AnswerTCP("a", ":80")
	if _, err := w.client.Ask("tcp", hostIP+":40000"); err != nil {
		t.Error(err)
	}

	// Without an agent purge works, too.
	w.agent.Kill()
	if res := w.agent.Try("purge", "--all"); res.Code != 0 {
		t.Fatalf("purge without an agent: status %d, %s", res.Code, res.Err)
	}
	for _, diff := range before.Diff(w.host.Snapshot()) {
		t.Errorf("after purge without an agent: %s", diff)
	}
}

// After a reboot all but what `ebnet run` made is there again before the agent is ready.
func TestReboot(t *testing.T) {
	w := newWorld(t)
	w.agent.Create("a", "-p", "8080:7000")
	subnet := w.agent.Network("default").Subnets[0]
	info := w.agent.Sandbox("a").Info
	// What a reboot leaves is the store.
	w.agent.Purge()
	w.agent.Start()
	if got := w.agent.Network("default").Subnets[0]; got != subnet {
		t.Errorf("the subnet was %s and is now %s", subnet, got)
	}
	a := w.agent.Sandbox("a")
	if a.Info.ID != info.ID || a.Addr != info.Endpoints[0].Addresses[0].Addr() {
		t.Errorf("sandbox was %+v and is now %+v", info, a.Info)
	}
	a.AnswerTCP("a", ":7000")
	if _, err := w.client.Ask("tcp", hostIP+":8080"); err != nil {
		t.Error(err)
	}
}
