package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/lab"
)

// Every packet of UDP round trips is counted once, with its length on the wire.
func TestMetricsUDP(t *testing.T) {
	const rounds = 1000
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000/udp")
	s.AnswerUDP("a", ":7000")
	w.client.AnswerUDP("outside", ":7000")
	for path, c := range map[string]*lab.Conversation{
		"publish":    w.client.Talk("udp", "", hostIP+":8080"),
		"masquerade": s.Talk("udp", "", clientIP+":7000"),
	} {
		asker := map[string]*lab.Machine{"publish": w.client, "masquerade": s.Machine}[path]
		before := w.agent.Scrape()
		var asked, answered int // bytes with the 28 of the headers
		for range rounds {
			asker.MustAsk(c)
			asked += 28 + c.LastQuestion
			answered += 28 + c.LastAnswer
		}
		after := w.agent.Scrape()
		in, out := asked, answered
		if path == "masquerade" {
			in, out = answered, asked
		}
		for direction, bytes := range map[string]int{"ingress": in, "egress": out} {
			labels := []string{`path="` + path + `"`, `direction="` + direction + `"`}
			if got := diff(before, after, "ebnet_packets_total", labels...); got != rounds {
				t.Errorf("%s %s: %d packets, want %d", path, direction, got, rounds)
			}
			if got := diff(before, after, "ebnet_bytes_total", labels...); got != bytes {
				t.Errorf("%s %s: %d bytes, want %d", path, direction, got, bytes)
			}
		}
	}
	m := w.agent.Scrape()
	if got := m.Sum("ebnet_publish_flows_total", `sandbox="a"`, `host_ports="8080"`, `proto="udp"`); got != 1 {
		t.Errorf("%v flows of the published port, want 1", got)
	}
	for name, want := range map[string]float64{
		"ebnet_endpoints": 1, "ebnet_published_ports": 1, "ebnet_problems": 0, "ebnet_reconcile_errors_total": 0,
	} {
		if got := m.Sum(name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if !m.Has("ebnet_build_info") || !m.Has("ebnet_host_info") || !m.Has("ebnet_dropped_packets_total") {
		t.Error("build info, host info or drop reasons are missing")
	}
}

// Under load the counters agree with what the connection's own end has counted, packet
// by packet, with segmentation offload on: an offloaded packet counts as its segments.
func TestMetricsExactUnderLoad(t *testing.T) {
	const size = 200 << 20
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000")
	ln := s.ListenTCP(":7000")
	served := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			served <- err
			return
		}
		defer conn.Close()
		_, err = io.CopyN(io.Discard, conn, size)
		if err == nil {
			_, err = conn.Write([]byte("all"))
		}
		served <- err
		io.Copy(io.Discard, conn)
	}()
	before := w.agent.Scrape()
	c := w.client.Talk("tcp", "", hostIP+":8080")
	if _, err := io.CopyN(c.Conn, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c.Conn, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	// Acknowledgements may still be on their way: wait until both ends agree with the
	// counters, or fail with the difference.
	lab.Eventually(t, wait, func() error {
		info, err := lab.TCPInfo(c.Conn)
		if err != nil {
			return err
		}
		after := w.agent.Scrape()
		for _, row := range []struct {
			direction      string
			segments, data int
		}{
			{"ingress", int(info.Segs_out), int(info.Bytes_sent)},
			{"egress", int(info.Segs_in), int(info.Bytes_received)},
		} {
			labels := []string{`path="publish"`, `direction="` + row.direction + `"`}
			if got := diff(before, after, "ebnet_packets_total", labels...); got != row.segments {
				return fmt.Errorf("%s: %d packets counted, %d on the wire", row.direction, got, row.segments)
			}
			// 52 bytes of headers with timestamps each, 60 for the SYN. Selective
			// acknowledgements are longer, and there is none without a loss.
			want := row.data + 52*row.segments + 8
			if got := diff(before, after, "ebnet_bytes_total", labels...); got != want && info.Total_retrans == 0 {
				return fmt.Errorf("%s: %d bytes counted, %d on the wire", row.direction, got, want)
			}
		}
		return nil
	})
	for _, direction := range []string{"ingress", "egress"} {
		published := diff(before, w.agent.Scrape(), "ebnet_packets_total", `path="publish"`, `direction="`+direction+`"`)
		sandbox := diff(before, w.agent.Scrape(), "ebnet_sandbox_packets_total", `sandbox="a"`, `direction="`+direction+`"`)
		if sandbox < published {
			t.Errorf("%s: the sandbox has %d packets, its published port %d", direction, sandbox, published)
		}
	}
}

// A flow says which packets it carried.
func TestFlows(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000/udp")
	s.AnswerUDP("a", ":7000")
	c := w.client.Talk("udp", "", hostIP+":8080")
	for range 5 {
		w.client.MustAsk(c)
	}
	flows := w.flows(t)
	if len(flows) != 1 {
		t.Fatalf("flows: %+v", flows)
	}
	f := flows[0]
	if f.Proto != "udp" || f.Src != c.LocalAddr().String() || f.Dst != hostIP+":8080" || f.NATSrc != f.Src ||
		f.NATDst != addrPort(s, "7000") || f.Kind != "publish" || f.State != "established" || f.Sandbox != "a" || f.Packets != 10 {
		t.Errorf("flow: %+v", f)
	}
	w.agent.Ebnet("flows", "flush", "--to", "a")
	if flows := w.flows(t); len(flows) != 0 {
		t.Errorf("flows after a flush: %+v", flows)
	}
	if !strings.Contains(w.agent.Ebnet("flows", "-o", "json"), "[]") {
		t.Error("an empty list of flows is not []")
	}
	w.client.MustAsk(c)
}

// zeros is an endless source.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// diff is by how much a counter grew.
func diff(before, after lab.Metrics, name string, labels ...string) int {
	return int(after.Sum(name, labels...) - before.Sum(name, labels...))
}

// flows is what `ebnet flows` lists.
func (w *world) flows(t *testing.T) []api.Flow {
	t.Helper()
	var flows []api.Flow
	w.agent.JSON(&flows, "flows", "-o", "json")
	return flows
}
