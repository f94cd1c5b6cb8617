package docker

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/ebnet/ebnet/control/engine"
)

// container is what is known of one container by itself. World fills in what
// takes the networks and the other containers.
type container struct {
	engine.Container
	endpoints []endpoint
	wished    map[string][]portBinding // the ports that it was created with
	joins     int                      // how many networks it is on while it runs
}

type endpoint struct {
	engine.Endpoint        // its network is still Docker's ID
	gateway         bool   // it could have the default route
	priority        int    // for the default route
	name            string // of the network, as Docker has it
}

// readContainer is a container as its inspection says.
func readContainer(reply containerReply) container {
	c := container{Container: engine.Container{
		ID: reply.ID, Name: strings.TrimPrefix(reply.Name, "/"), Created: reply.Created,
		Labels: filled(reply.Config.Labels),
		// A container that waits for its restart is running to Docker, but has
		// neither a namespace nor endpoints.
		Running: reply.State.Running && !reply.State.Restarting,
	}}
	c.setMode(reply.HostConfig.NetworkMode)
	c.wished, c.joins = reply.HostConfig.PortBindings, len(reply.NetworkSettings.Networks)
	if !c.Running {
		return c
	}
	if !c.OnHost {
		c.Netns = reply.NetworkSettings.SandboxKey
	}
	c.endpoints = readEndpoints(reply.NetworkSettings.Networks)
	c.Ports = readPorts(reply.NetworkSettings.Ports)
	return c
}

// readSummary is a container as the list of containers says: without the path of
// its namespace, and perhaps a moment behind.
func readSummary(reply summaryReply) container {
	c := container{Container: engine.Container{
		ID: reply.ID, Name: ownName(reply.Names), Created: time.Unix(reply.Created, 0).UTC(),
		Labels:  filled(reply.Labels),
		Running: reply.State == "running" || reply.State == "paused",
	}}
	c.setMode(reply.HostConfig.NetworkMode)
	if !c.Running {
		return c
	}
	c.endpoints = readEndpoints(reply.NetworkSettings.Networks)
	for _, p := range reply.Ports {
		c.Ports = appendPort(c.Ports, p.Type, p.IP, p.PublicPort, p.PrivatePort)
	}
	c.Ports = joinPorts(c.Ports)
	return c
}

// ownName is a container's own name of those in a list; the others are what
// links call it, and have a "/" inside.
func ownName(names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

func (c *container) setMode(mode string) {
	c.OnHost = mode == "host"
	c.Joins, _ = strings.CutPrefix(mode, "container:")
	if c.Joins == mode {
		c.Joins = ""
	}
}

// readEndpoints are the endpoints that have addresses, of all kinds of networks,
// with the one that has the default route first.
func readEndpoints(networks map[string]endpointReply) []endpoint {
	var all []endpoint
	for name, reply := range networks {
		e := endpoint{
			Endpoint: engine.Endpoint{Network: reply.NetworkID, MAC: reply.MacAddress},
			gateway:  reply.Gateway != "", priority: reply.GwPriority, name: name,
		}
		e.addAddress(reply.IPAddress, reply.IPPrefixLen)
		e.addAddress(reply.GlobalIPv6Address, reply.GlobalIPv6PrefixLen)
		if len(e.Addresses) > 0 {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b endpoint) int {
		switch {
		case a.gateway && !b.gateway:
			return -1
		case b.gateway && !a.gateway:
			return 1
		}
		return cmp.Or(-cmp.Compare(a.priority, b.priority), cmp.Compare(a.name, b.name))
	})
	if len(all) > 0 {
		all[0].Default = all[0].gateway
	}
	return all
}

// addPrefix adds an address with its length behind a "/".
func (e *endpoint) addPrefix(address string) {
	if prefix, err := netip.ParsePrefix(address); err == nil {
		e.Addresses = append(e.Addresses, prefix)
	}
}

func (e *endpoint) addAddress(address string, length int) {
	if addr, err := netip.ParseAddr(address); err == nil {
		e.Addresses = append(e.Addresses, netip.PrefixFrom(addr, length))
	}
}
