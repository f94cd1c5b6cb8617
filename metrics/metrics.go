// Package metrics shows the datapath's counters to Prometheus. They are read
// at each scrape; a read that fails fails the scrape.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ebnet/ebnet/datapath"
)

// Source is what is read of the datapath.
type Source interface {
	PathCounters(networks []uint16) ([]datapath.PathCounter, error)
	EndpointCounters() (map[uint32]datapath.EndpointCounter, error)
	Drops() ([]datapath.DropCounter, error)
	FlowsCreated() ([]datapath.FlowsCreated, error)
	PublishFlows() (map[uint32]uint64, error)
	PortFailures() (map[datapath.Proto]uint64, error)
	FlowStats() (datapath.FlowStats, error)
}

// Build says what program this is.
type Build struct {
	Version, Revision, GoVersion string
	Kernel                       string // release of the running kernel
}

// Handler answers scrapes. view is asked once for each.
func Handler(source Source, view func() (View, error), detail Detail, build Build) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{source: source, view: view, detail: detail, build: build},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
}

// collector turns one view and the counters behind it into metrics.
type collector struct {
	source Source
	view   func() (View, error)
	detail Detail
	build  Build
}

// Describe says nothing, which makes the collector an unchecked one: which
// series there are depends on what there is.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect reads everything once.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := &scrape{collector: c, out: out}
	view, err := c.view()
	if err != nil {
		s.fail(err)
		return
	}
	s.View = view
	for _, read := range []func() error{
		s.paths, s.drops, s.flows, s.flowStats, s.portFailures, s.endpoints, s.publishes, s.agent,
	} {
		if err := read(); err != nil {
			s.fail(err)
			return
		}
	}
}
