package metrics_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/metrics"
)

// numbers is a source with one of everything.
type numbers struct{ err error }

func (n numbers) PathCounters(networks []uint16) ([]datapath.PathCounter, error) {
	var out []datapath.PathCounter
	for _, i := range networks {
		out = append(out, datapath.PathCounter{
			Network: i, Direction: datapath.Ingress, Path: datapath.PathPublish,
			Counter: datapath.Counter{Packets: 3, Bytes: 300},
		})
	}
	return out, n.err
}

func (n numbers) EndpointCounters() (map[uint32]datapath.EndpointCounter, error) {
	return map[uint32]datapath.EndpointCounter{4: {
		Ingress: datapath.Counter{Packets: 5, Bytes: 500}, Egress: datapath.Counter{Packets: 6, Bytes: 600},
	}}, n.err
}

func (n numbers) Drops() ([]datapath.DropCounter, error) {
	return []datapath.DropCounter{{Reason: datapath.DropNoPort, Direction: datapath.Egress}}, n.err
}

func (n numbers) FlowsCreated() ([]datapath.FlowsCreated, error) {
	return []datapath.FlowsCreated{{Kind: datapath.KindMasquerade, Proto: "udp", Count: 7}}, n.err
}

func (n numbers) PublishFlows() (map[uint32]uint64, error) {
	return map[uint32]uint64{2: 9}, n.err
}

func (n numbers) PortFailures() (map[datapath.Proto]uint64, error) {
	return map[datapath.Proto]uint64{datapath.UDP: 1}, n.err
}

func (n numbers) FlowStats() (datapath.FlowStats, error) {
	return datapath.FlowStats{
		ByProto:   map[datapath.Proto]int{datapath.TCP: 11},
		PortsUsed: map[datapath.AddrProto]int{{Addr: netip.MustParseAddr("192.0.2.1"), Proto: datapath.UDP}: 12},
		Evicted:   13, Limit: 14,
	}, n.err
}

func view() (metrics.View, error) {
	return metrics.View{
		Networks:   map[uint16]string{1: "default"},
		Sandboxes:  map[uint32]metrics.Sandbox{4: {Network: "default", Sandbox: "web", Ifindex: 8}},
		Publishes:  map[uint32]metrics.Publish{2: {Network: "default", Sandbox: "web", Proto: "tcp", HostIP: "0.0.0.0", HostPorts: "9000-9010", Ports: 11}},
		Devices:    map[int]metrics.Device{8: {TxPackets: 2, TxBytes: 228}},
		Addresses:  []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		Repairs:    map[string]uint64{"link": 1},
		Reconciles: metrics.Reconciles{Count: 1, Seconds: .5, Buckets: map[float64]uint64{1: 1}},
		PortsLimit: 100,
	}, nil
}

func scrape(t *testing.T, detail metrics.Detail, source metrics.Source) (int, string) {
	t.Helper()
	h := metrics.Handler(source, view, detail, metrics.Build{Version: "1", Kernel: "6.18"})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(body)
}

func TestScrape(t *testing.T) {
	code, body := scrape(t, metrics.DetailPublish, numbers{})
	if code != 200 {
		t.Fatalf("status %d: %s", code, body)
	}
	for _, line := range []string{
		`ebnet_packets_total{direction="ingress",network="default",path="publish"} 3`,
		`ebnet_bytes_total{direction="ingress",network="default",path="publish"} 300`,
		`ebnet_dropped_packets_total{direction="egress",reason="no_port"} 0`,
		`ebnet_flows_created_total{kind="masquerade",proto="udp"} 7`,
		`ebnet_flows_evicted_total 13`,
		`ebnet_flows{proto="tcp"} 11`,
		`ebnet_flows{proto="icmp"} 0`,
		`ebnet_flows_limit 14`,
		`ebnet_masquerade_ports_used{address="192.0.2.1",proto="udp"} 12`,
		`ebnet_masquerade_ports_limit{address="192.0.2.1",proto="udp"} 100`,
		`ebnet_masquerade_port_failures_total{proto="udp"} 1`,
		`ebnet_publish_flows_total{host_ip="0.0.0.0",host_ports="9000-9010",network="default",proto="tcp",sandbox="web"} 9`,
		// the kernel carried 2 packets more, of 228 bytes with their link headers
		`ebnet_sandbox_packets_total{direction="ingress",network="default",sandbox="web"} 7`,
		`ebnet_sandbox_bytes_total{direction="ingress",network="default",sandbox="web"} 700`,
		`ebnet_sandbox_packets_total{direction="egress",network="default",sandbox="web"} 6`,
		`ebnet_endpoints{network="default"} 1`,
		`ebnet_published_ports{network="default"} 11`,
		`ebnet_reconcile_duration_seconds_count 1`,
		`ebnet_reconcile_errors_total 0`,
		`ebnet_repairs_total{kind="link"} 1`,
		`ebnet_problems 0`,
		`ebnet_events_lost_total 0`,
		`ebnet_build_info{goversion="",revision="",version="1"} 1`,
		`ebnet_host_info{kernel="6.18"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("scrape has no line %s", line)
		}
	}
}

func TestDetailLeavesSeriesOut(t *testing.T) {
	_, network := scrape(t, metrics.DetailNetwork, numbers{})
	_, sandbox := scrape(t, metrics.DetailSandbox, numbers{})
	if strings.Contains(network, "ebnet_sandbox_") || !strings.Contains(sandbox, "ebnet_sandbox_") {
		t.Error("series of sandboxes are not where detail wants them")
	}
	if strings.Contains(sandbox, "ebnet_publish_flows_total") {
		t.Error("series of publishes are there with detail sandbox")
	}
}

func TestFailedReadFailsTheScrape(t *testing.T) {
	if code, body := scrape(t, metrics.DetailPublish, numbers{err: errors.New("map is gone")}); code != 500 ||
		!strings.Contains(body, "map is gone") {
		t.Fatalf("status %d, body %q; want 500 with the cause", code, body)
	}
}
