package docker

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ebnet/ebnet/control/engine"
)

// readPorts are the ports that an inspection says are published, under keys like
// "80/tcp". Ports that are exposed only have no bindings.
func readPorts(bindings map[string][]portBinding) []engine.Port {
	var ports []engine.Port
	for key, hosts := range bindings {
		number, proto, _ := strings.Cut(key, "/")
		inside, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			continue
		}
		for _, host := range hosts {
			// A network without address translation has bindings without a port.
			if outside, err := strconv.ParseUint(host.HostPort, 10, 16); err == nil {
				ports = appendPort(ports, proto, host.HostIP, uint16(outside), uint16(inside))
			}
		}
	}
	return joinPorts(ports)
}

// appendPort adds one port, unless it is not published.
func appendPort(ports []engine.Port, proto, hostIP string, outside, inside uint16) []engine.Port {
	if outside == 0 || inside == 0 {
		return ports
	}
	ip, err := netip.ParseAddr(hostIP)
	if err != nil {
		ip = netip.IPv4Unspecified()
	}
	return append(ports, engine.Port{
		Proto: proto, HostIP: ip,
		HostPort: outside, HostPortEnd: outside, Port: inside, PortEnd: inside,
	})
}

// joinPorts sorts single ports and makes ranges of those that advance together on
// both sides.
func joinPorts(ports []engine.Port) []engine.Port {
	slices.SortFunc(ports, func(a, b engine.Port) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
	var joined []engine.Port
	for _, p := range ports {
		if n := len(joined); n > 0 && follows(joined[n-1], p) {
			joined[n-1].HostPortEnd, joined[n-1].PortEnd = p.HostPort, p.Port
			continue
		}
		joined = append(joined, p)
	}
	return joined
}

// follows says whether p is the next port of a range.
func follows(r, p engine.Port) bool {
	return r.Proto == p.Proto && r.HostIP == p.HostIP &&
		int(p.HostPort) == int(r.HostPortEnd)+1 && int(p.Port) == int(r.PortEnd)+1
}
