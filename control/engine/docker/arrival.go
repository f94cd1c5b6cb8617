package docker

import (
	"cmp"
	"context"
	"errors"
	"net/url"

	"github.com/ebnet/ebnet/control/engine"
)

// place is a container's place on a network, by Docker's IDs.
type place struct{ network, container string }

// lookArrival learns of a container that joins a network as it starts what its clients
// need. Docker answers an inspection only when it answers whoever started the container,
// whose next step can be to ask it. By then its ports are to lead to it: their numbers
// are those that it was created with, and the network already knows its address.
func (c *connection) lookArrival(ctx context.Context, at place) {
	before, ok := find(c.known, c.known.containers, at.container)
	if !ok || before.Running || before.joins != 1 || len(before.wished) == 0 {
		return // an inspection is under way
	}
	reply, err := get[membersReply](ctx, c.client, "/networks/"+url.PathEscape(at.network))
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, errGone) {
			c.log.Debug("Docker gave no answer; the container's inspection has it, too", "id", at.container, "error", err)
		}
		return
	}
	member, ok := reply.Containers[at.container]
	if !ok {
		return
	}
	e := endpoint{Endpoint: engine.Endpoint{Network: at.network, MAC: member.MacAddress, Default: true}, gateway: true, name: reply.Name}
	e.addPrefix(member.IPv4Address)
	e.addPrefix(member.IPv6Address)
	ports := readPorts(withHostIP(before.wished, reply.Options[optHostIP]))
	if len(e.Addresses) == 0 || len(ports) == 0 {
		return // Docker chooses the ports, too
	}
	after := before
	after.Running, after.endpoints, after.Ports = true, []endpoint{e}, ports
	replace(c.known, c.known.containers, at.container, before, after)
}

// withHostIP are bindings with the address at which a network publishes ports unless
// they say where.
func withHostIP(bindings map[string][]portBinding, address string) map[string][]portBinding {
	filled := make(map[string][]portBinding, len(bindings))
	for port, hosts := range bindings {
		for _, host := range hosts {
			host.HostIP = cmp.Or(host.HostIP, address)
			filled[port] = append(filled[port], host)
		}
	}
	return filled
}
