package control

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/engine/docker"
	"github.com/ebnet/ebnet/control/netdev"
)

// fakeDocker is a Docker daemon as far as agents see it.
type fakeDocker struct {
	world *engine.World // nil: it does not answer
	state docker.State
	rules bool
}

func (d *fakeDocker) Run(ctx context.Context, _ func(engine.World)) { <-ctx.Done() }
func (d *fakeDocker) State() docker.State                           { return d.state }

// dockerNetwork has the bridge and a subnet of a name's own number.
func dockerNetwork(name, bridge, subnet string) engine.Network {
	p := netip.MustParsePrefix(subnet)
	return engine.Network{
		ID: strings.Repeat(name[:1], 64), Name: name, Bridge: bridge, ICC: true, Masquerade: true,
		Subnets: []engine.Subnet{{Prefix: p, Gateway: p.Addr().Next()}}, Created: time.Unix(1, 0).UTC(),
	}
}

// container is one that runs, on networks at addresses; "bridge 172.17.0.2/16".
func container(name string, places ...string) engine.Container {
	c := engine.Container{ID: strings.Repeat(name[:1], 64), Name: name, Running: true, Netns: "/fake/docker-" + name, Created: time.Unix(2, 0).UTC()}
	for _, place := range places {
		network, addr, _ := strings.Cut(place, " ")
		c.Endpoints = append(c.Endpoints, engine.Endpoint{Network: network, Addresses: prefixes(addr), MAC: "02:42:00:00:00:01"})
	}
	return c
}

// stopped is a container that does not run.
func stopped(c engine.Container) engine.Container {
	c.Running, c.Netns, c.Endpoints, c.Ports = false, "", nil, nil
	return c
}

// on is a container with published ports.
func on(c engine.Container, specs ...string) engine.Container {
	for _, text := range specs {
		s := spec(text)
		host := s.HostIP
		if !host.IsValid() {
			host = netip.IPv4Unspecified()
		}
		c.Ports = append(c.Ports, engine.Port{
			Proto: s.Proto, HostIP: host, HostPort: s.HostPort, HostPortEnd: s.HostPortEnd, Port: s.Port, PortEnd: s.PortEnd,
		})
	}
	return c
}

// dockerWorld is a host with Docker, its bridge and what it says that it has.
func (w *world) dockerWorld(containers ...engine.Container) engine.World {
	if w.docker == nil {
		w.docker = &fakeDocker{state: docker.State{Connected: true, Version: "20.10.24"}}
	}
	if _, ok := w.links["docker0"]; !ok {
		w.add(netdev.LinkInfo{Name: "docker0", Kind: "bridge", Up: true, MTU: 1500, Addrs: prefixes("172.17.0.1/16")})
	}
	world := engine.World{Networks: []engine.Network{dockerNetwork("bridge", "docker0", "172.17.0.0/16")}, Containers: containers}
	w.docker.world = &world
	return world
}

// plug makes a container's link on a bridge as Docker does. Without an address its
// other end is not up.
func (w *world) plug(name, bridge, netns, peer, addr string) netdev.LinkInfo {
	link := netdev.LinkInfo{Name: name, Kind: "veth", Up: true, MTU: 1500, Master: w.links[bridge].Index, NetnsID: 7, PeerIndex: 2}
	if w.netns[netns] == nil {
		w.netns[netns] = fakeNetns{"lo": &fakeDevice{up: true}}
	}
	w.inside[name] = place{netns, peer}
	w.netns[netns][peer] = &fakeDevice{}
	if addr != "" {
		link.Carrier = true
		*w.netns[netns][peer] = fakeDevice{up: true, addrs: prefixes(addr)}
	}
	link.Index = w.add(link)
	return link
}

// webWorld is a host on which Docker runs the container web, which publishes 8080.
func (w *world) webWorld() engine.World {
	world := w.dockerWorld(on(container("web", "bridge 172.17.0.2/16"), "8080:80"))
	w.plug("veth1234567", "docker0", "/fake/docker-web", "eth0", "172.17.0.2/16")
	return world
}

// published shows what the datapath publishes.
func (w *world) published() string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(w.publishes)) {
		p := w.publishes[key]
		to := "kept"
		if p.Target.IsValid() {
			to = netip.AddrPortFrom(p.Target, p.Port).String()
		}
		out = append(out, key+" "+to)
	}
	return strings.Join(out, ", ")
}
