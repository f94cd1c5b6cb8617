package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ebnet/ebnet/datapath"
)

// linkHeader is what a device's byte counters have and IP lengths have not.
const linkHeader = 14 // bytes

// scrape is one under way.
type scrape struct {
	*collector
	View
	out chan<- prometheus.Metric
}

func (s *scrape) fail(err error) {
	s.out <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(err), err)
}

// label is one name and value.
type label struct{ name, value string }

func (s *scrape) counter(name, help string, value uint64, labels ...label) {
	s.send(prometheus.CounterValue, name, help, float64(value), labels)
}

func (s *scrape) gauge(name, help string, value int, labels ...label) {
	s.send(prometheus.GaugeValue, name, help, float64(value), labels)
}

func (s *scrape) send(kind prometheus.ValueType, name, help string, value float64, labels []label) {
	names, values := make([]string, len(labels)), make([]string, len(labels))
	for i, l := range labels {
		names[i], values[i] = l.name, l.value
	}
	s.out <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
}

func (s *scrape) paths() error {
	var indexes []uint16
	for i := range s.Networks {
		indexes = append(indexes, i)
	}
	counters, err := s.source.PathCounters(indexes)
	if err != nil {
		return err
	}
	for _, c := range counters {
		labels := []label{
			{"network", s.Networks[c.Network]},
			{"direction", c.Direction.String()},
			{"path", c.Path.String()},
		}
		s.counter("ebnet_packets_total", "Packets that ebnet's programs decided on.", c.Packets, labels...)
		s.counter("ebnet_bytes_total", "IP bytes of the packets that ebnet's programs decided on.", c.Bytes, labels...)
	}
	return nil
}

func (s *scrape) drops() error {
	drops, err := s.source.Drops()
	if err != nil {
		return err
	}
	for _, d := range drops {
		s.counter("ebnet_dropped_packets_total", "Packets dropped, by reason.", d.Packets,
			label{"reason", d.Reason.String()}, label{"direction", d.Direction.String()})
	}
	s.counter("ebnet_events_lost_total", "Events that a slow reader of them missed.", 0)
	return nil
}

func (s *scrape) flows() error {
	created, err := s.source.FlowsCreated()
	if err != nil {
		return err
	}
	for _, c := range created {
		s.counter("ebnet_flows_created_total", "Flows created.", c.Count,
			label{"kind", c.Kind.String()}, label{"proto", c.Proto})
	}
	return nil
}

// protos are the protocols that always have their series.
func protos() []datapath.Proto { return []datapath.Proto{datapath.TCP, datapath.UDP, datapath.ICMP} }

func (s *scrape) flowStats() error {
	stats, err := s.source.FlowStats()
	if err != nil {
		return err
	}
	s.counter("ebnet_flows_evicted_total", "Half-open flows that newer ones pushed out.", stats.Evicted)
	s.gauge("ebnet_flows_limit", "Flows that there is room for.", stats.Limit)
	for _, p := range protos() {
		s.gauge("ebnet_flows", "Flows in the tables.", stats.ByProto[p], label{"proto", p.String()})
	}
	for _, addr := range s.Addresses {
		for _, p := range protos() {
			labels := []label{{"address", addr.String()}, {"proto", p.String()}}
			s.gauge("ebnet_masquerade_ports_used", "Outside ports, or echo identifiers, that masquerade holds.",
				stats.PortsUsed[datapath.AddrProto{Addr: addr, Proto: p}], labels...)
			s.gauge("ebnet_masquerade_ports_limit", "Outside ports that masquerade may choose from.", s.PortsLimit, labels...)
		}
	}
	return nil
}

func (s *scrape) portFailures() error {
	failures, err := s.source.PortFailures()
	if err != nil {
		return err
	}
	for _, p := range protos() {
		s.counter("ebnet_masquerade_port_failures_total", "New flows dropped because no outside port was left.",
			failures[p], label{"proto", p.String()})
	}
	return nil
}

func (s *scrape) endpoints() error {
	byNetwork := map[string]int{}
	for _, ep := range s.Sandboxes {
		byNetwork[ep.Network]++
	}
	for _, name := range s.Networks {
		s.gauge("ebnet_endpoints", "Endpoints of a network.", byNetwork[name], label{"network", name})
	}
	if s.detail < DetailSandbox {
		return nil
	}
	counters, err := s.source.EndpointCounters()
	if err != nil {
		return err
	}
	for slot, ep := range s.Sandboxes {
		s.sandbox(ep, counters[slot])
	}
	return nil
}

// sandbox adds what the kernel carried to what the programs did.
func (s *scrape) sandbox(ep Sandbox, c datapath.EndpointCounter) {
	dev := s.Devices[ep.Ifindex]
	c.Ingress.Packets += dev.TxPackets
	c.Ingress.Bytes += dev.TxBytes - min(dev.TxBytes, dev.TxPackets*linkHeader)
	for _, d := range []struct {
		direction datapath.Direction
		datapath.Counter
	}{{datapath.Ingress, c.Ingress}, {datapath.Egress, c.Egress}} {
		labels := []label{{"network", ep.Network}, {"sandbox", ep.Sandbox}, {"direction", d.direction.String()}}
		s.counter("ebnet_sandbox_packets_total", "Packets that a sandbox sent and received.", d.Packets, labels...)
		s.counter("ebnet_sandbox_bytes_total", "IP bytes that a sandbox sent and received.", d.Bytes, labels...)
	}
}

func (s *scrape) publishes() error {
	byNetwork := map[string]int{}
	for _, p := range s.Publishes {
		byNetwork[p.Network] += p.Ports
	}
	for _, name := range s.Networks {
		s.gauge("ebnet_published_ports", "Host ports published for a network.", byNetwork[name], label{"network", name})
	}
	if s.detail < DetailPublish {
		return nil
	}
	flows, err := s.source.PublishFlows()
	if err != nil {
		return err
	}
	for slot, p := range s.Publishes {
		s.counter("ebnet_publish_flows_total", "Flows to a published port or range.", flows[slot],
			label{"network", p.Network}, label{"sandbox", p.Sandbox}, label{"proto", p.Proto},
			label{"host_ip", p.HostIP}, label{"host_ports", p.HostPorts})
	}
	return nil
}

func (s *scrape) agent() error {
	r := s.Reconciles
	s.out <- prometheus.MustNewConstHistogram(prometheus.NewDesc("ebnet_reconcile_duration_seconds",
		"How long it took to make the kernel match what is wanted.", nil, nil), r.Count, r.Seconds, r.Buckets)
	s.counter("ebnet_reconcile_errors_total", "Reconciles that left something wrong.", r.Errors)
	for kind, n := range s.Repairs {
		s.counter("ebnet_repairs_total", "Things that others broke and ebnet repaired.", n, label{"kind", kind})
	}
	s.gauge("ebnet_problems", "Problems that `ebnet status` shows.", s.Problems)
	s.gauge("ebnet_build_info", "What program this is.", 1,
		label{"version", s.build.Version}, label{"revision", s.build.Revision}, label{"goversion", s.build.GoVersion})
	s.gauge("ebnet_host_info", "What it runs on.", 1, label{"kernel", s.build.Kernel})
	return nil
}
