package control

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"

	"github.com/ebnet/ebnet/datapath"
)

// MetricsView is what metrics need beside the datapath's counters: the names
// behind its numbers, and how the agent itself does. All of one moment.
type MetricsView struct {
	Networks   map[uint16]string      // names by index
	Sandboxes  map[uint32]SandboxView // by endpoint slot
	Publishes  map[uint32]PublishView // by publish slot
	Uplinks    []netip.Addr           // addresses that masquerade uses
	Ready      bool                   // reconciled once
	Problems   int                    // that status shows
	Repairs    map[string]uint64      // by kind, since the agent's start
	Reconciles ReconcileStats
}

// SandboxView names one endpoint.
type SandboxView struct {
	Network string
	Sandbox string
	Ifindex int // of the host-side device, whose statistics have what the kernel carried
}

// PublishView names one publish.
type PublishView struct {
	Network   string
	Sandbox   string
	Proto     string
	HostIP    string
	HostPorts string // "8080", or "9000-9010" for a range
	Ports     int    // how many
}

// MetricsView may be called at any time, also before Run.
func (a *Agent) MetricsView() MetricsView {
	a.mu.RLock()
	defer a.mu.RUnlock()
	v := MetricsView{
		Networks:   map[uint16]string{},
		Sandboxes:  map[uint32]SandboxView{},
		Publishes:  map[uint32]PublishView{},
		Ready:      a.ready.Load(),
		Problems:   len(a.problems) + len(a.engineProblems()),
		Repairs:    maps.Clone(a.repairs),
		Reconciles: a.runs,
	}
	v.Reconciles.Buckets = maps.Clone(a.runs.Buckets)
	for _, n := range a.want.networks {
		if n.Index != 0 {
			v.Networks[n.Index] = n.Name
		}
	}
	for _, ep := range a.live.endpoints {
		if ep.sandbox == "" {
			continue // an engine's container that the engine has not told of yet
		}
		v.Sandboxes[ep.slot] = SandboxView{Network: ep.network, Sandbox: ep.sandbox, Ifindex: ep.ifindex}
	}
	for key, slot := range a.live.publishes {
		p := a.want.publishes[key]
		if !a.want.leads(p) {
			continue
		}
		ports := fmt.Sprint(p.HostPort)
		if p.HostPortEnd != p.HostPort {
			ports = fmt.Sprintf("%d-%d", p.HostPort, p.HostPortEnd)
		}
		v.Publishes[slot] = PublishView{
			Network: cmp.Or(p.Network, a.want.sandboxes[p.Sandbox].Way), Sandbox: p.Sandbox, Proto: p.Proto, HostIP: p.HostIP.String(),
			HostPorts: ports, Ports: int(p.HostPortEnd) - int(p.HostPort) + 1,
		}
	}
	for _, u := range a.live.uplinks {
		for _, addr := range u.addrs {
			v.Uplinks = append(v.Uplinks, addr.Addr())
		}
	}
	return v
}

// Datapath is the agent's datapath, from the moment that Options.MetricsHandler
// is called until Run returns.
func (a *Agent) Datapath() *datapath.Datapath { return a.dp }
