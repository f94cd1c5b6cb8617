package main

import (
	"net/http"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/metrics"
)

// newAgent makes the agent, and what gives it new uplinks and a new host address
// while it runs.
func newAgent(s agentSettings) (agent *control.Agent, apply func(agentSettings)) {
	options := s.place.options()
	options.Uplinks = s.uplinks
	options.HostIP = s.hostIP
	options.Docker = s.docker
	options.Attach = s.attach
	options.Version = buildVersion()
	options.Log = s.log
	options.MetricsAddr = s.metrics
	options.MetricsHandler = func(agent *control.Agent) (http.Handler, error) {
		return metricsHandler(agent, s.detail)
	}
	agent = control.New(options)
	return agent, func(wanted agentSettings) {
		changed := options
		changed.Uplinks, changed.HostIP = wanted.uplinks, wanted.hostIP
		agent.Reload(changed) // nothing else differs, so nothing needs a restart
	}
}

func (p *place) options() control.Options {
	return control.Options{StateDir: p.state, RunDir: p.run, BPFFS: p.bpffs, Prefix: p.prefix}
}

// purgeWithoutAgent does what an agent does that is asked to purge.
func purgeWithoutAgent(p place, all bool) error {
	return control.Purge(p.options(), all)
}

func metricsHandler(agent *control.Agent, detail metrics.Detail) (http.Handler, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, err
	}
	version := buildVersion()
	build := metrics.Build{
		Version: version.Version, Revision: version.Revision, GoVersion: version.GoVersion,
		Kernel: unix.ByteSliceToString(name.Release[:]),
	}
	view := func() (metrics.View, error) { return metricsView(agent) }
	return metrics.Handler(agent.Datapath(), view, detail, build), nil
}

// metricsView tells metrics, which know nothing of the agent, how it does.
func metricsView(agent *control.Agent) (metrics.View, error) {
	now := agent.MetricsView()
	stats, err := netdev.LinkStats()
	if err != nil {
		return metrics.View{}, err
	}
	settings := datapath.DefaultSettings()
	view := metrics.View{
		Networks:   now.Networks,
		Sandboxes:  map[uint32]metrics.Sandbox{},
		Publishes:  map[uint32]metrics.Publish{},
		Devices:    map[int]metrics.Device{},
		Addresses:  now.Uplinks,
		Problems:   now.Problems,
		Repairs:    now.Repairs,
		Reconciles: metrics.Reconciles(now.Reconciles),
		PortsLimit: int(settings.PortMax) - int(settings.PortMin) + 1,
	}
	for slot, sandbox := range now.Sandboxes {
		view.Sandboxes[slot] = metrics.Sandbox(sandbox)
		link := stats[sandbox.Ifindex]
		view.Devices[sandbox.Ifindex] = metrics.Device{TxPackets: link.TxPackets, TxBytes: link.TxBytes}
	}
	for slot, publish := range now.Publishes {
		view.Publishes[slot] = metrics.Publish(publish)
	}
	return view, nil
}
