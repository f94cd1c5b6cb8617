package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/api"
)

// 1,000 sandboxes are made, work, and go; time and memory are reported.
func TestThousandSandboxes(t *testing.T) {
	const count = 1000
	w := newWorld(t)
	client := api.NewClient(w.agent.Socket())
	start := time.Now()
	for i := range count {
		if _, err := client.CreateSandbox(context.Background(), api.SandboxCreate{Name: fmt.Sprintf("s%d", i)}); err != nil {
			t.Fatalf("create sandbox %d: %v", i, err)
		}
	}
	t.Logf("%d sandboxes created in %v, agent %s", count, time.Since(start).Round(time.Millisecond), memory(t, w.agent.PID()))

	first, last := w.agent.Sandbox("s0"), w.agent.Sandbox(fmt.Sprintf("s%d", count-1))
	w.agent.Ebnet("publish", "8080:7000", "--to", last.Name)
	last.AnswerTCP("last", ":7000")
	if reply, err := w.client.Ask("tcp", hostIP+":8080"); err != nil || reply.Client.Addr().String() != clientIP {
		t.Errorf("published port of the last: %+v, %v", reply, err)
	}
	if reply, err := first.Ask("tcp", addrPort(last, "7000")); err != nil || reply.Client.Addr() != first.Addr {
		t.Errorf("first to last: %+v, %v", reply, err)
	}

	w.agent.Kill()
	start = time.Now()
	w.agent.Start()
	t.Logf("adopted in %v, agent %s", time.Since(start).Round(time.Millisecond), memory(t, w.agent.PID()))
	if st := w.agent.Status(); st.Endpoints != count || len(st.Problems) != 0 {
		t.Errorf("status after a restart: %d endpoints, problems %q", st.Endpoints, st.Problems)
	}
	start = time.Now()
	w.agent.Purge()
	t.Logf("purged in %v", time.Since(start).Round(time.Millisecond))
}

// A range of 10,000 ports is published at once; the time is reported.
func TestPublish10000Ports(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a")
	for _, port := range []string{"30000", "34999", "39999"} {
		s.AnswerTCP("at-"+port, ":"+port)
	}
	start := time.Now()
	w.agent.Ebnet("publish", "20000-29999:30000-39999", "--to", "a")
	t.Logf("published in %v", time.Since(start).Round(time.Millisecond))
	for host, container := range map[string]string{"20000": "30000", "24999": "34999", "29999": "39999"} {
		if reply, err := w.client.Ask("tcp", hostIP+":"+host); err != nil || reply.Server != "at-"+container {
			t.Errorf("port %s: %+v, %v", host, reply, err)
		}
	}
	if got := w.agent.Status().Published; got != 10000 {
		t.Errorf("%d ports published", got)
	}
	start = time.Now()
	w.agent.Ebnet("unpublish", "20000-29999")
	t.Logf("unpublished in %v", time.Since(start).Round(time.Millisecond))
	w.client.Unreachable("tcp", hostIP+":20000")
	w.client.Unreachable("tcp", hostIP+":29999")
}

var rss = regexp.MustCompile(`VmRSS:\s*(.*)\n`)

// memory reads how much memory a process holds.
func memory(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := rss.FindSubmatch(status)
	if found == nil {
		t.Fatalf("no VmRSS in\n%s", status)
	}
	return string(found[1])
}
