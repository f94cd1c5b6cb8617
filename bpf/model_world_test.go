package bpf_test

import (
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/datapath"
)

const (
	hostIP2 = "203.0.113.2"
	addrD   = "172.20.0.2" // its network has no masquerade
	addrE   = "172.21.0.2" // its network is internal
	addrF   = "172.20.0.3" // D's neighbour, whom it does not reach
)

// world makes the same networks for the programs and for a model of them.
func (h *host) world() (*model, map[string]modelHook) {
	h.t.Helper()
	for _, name := range []string{"ctrd", "ctre", "ctrf"} {
		h.ip("link add " + name + " type veth peer name " + name + "p")
	}
	for _, name := range []string{"ctra", "ctrb", "ctrc", "ctrd", "ctre", "ctrf"} {
		h.ip("link set " + name + " up") // or nothing can be handed in again
		h.ip("link set " + name + "p up")
	}
	m := newModel(h.six)
	m.uplink = ip(hostIP)
	m.portMin, m.portMax = 1024, 1027 // few, so that they run out
	h.settings(m)
	hooks := map[string]modelHook{
		outsideWorld: {h.objs.EbnetFromExt, h.ext, 0},
		hostItself:   {h.objs.EbnetToExt, h.ext, 0},
		kernelItself: {h.objs.EbnetToExt, h.ext, device(h.t, "fib").Index},
	}
	one, three := &modelNetwork{gateway: ip(gateway), masquerade: true}, &modelNetwork{gateway: ip("172.20.0.1"), apart: true}
	for _, c := range []struct {
		name, dev, addr string
		index           uint16
		network         *modelNetwork
	}{
		{"A", "ctra", addrA, 1, one},
		{"B", "ctrb", addrB, 1, one},
		{"C", "ctrc", addrC, 2, &modelNetwork{gateway: ip("172.19.0.1"), masquerade: true}},
		{"D", "ctrd", addrD, 3, three},
		{"E", "ctre", addrE, 4, &modelNetwork{gateway: ip("172.21.0.1"), masquerade: true, internal: true}},
		{"F", "ctrf", addrF, 3, three},
	} {
		n := c.network
		h.network(datapath.Network{Index: c.index, Bridge: 99 + uint32(c.index), Masquerade: n.masquerade, Internal: n.internal, ICC: !n.apart}, n.gateway.String())
		dev := device(h.t, c.dev)
		slot := h.endpoint(dev, c.addr, c.index).Slot
		hooks[c.name] = modelHook{h.objs.EbnetFromCtr, dev, 0}
		m.containers[ip(c.addr)] = &modelContainer{name: c.name, slot: slot, addr: ip(c.addr), network: n}
		m.host[n.gateway] = false
	}
	h.hostsOwn(m)
	return m, hooks
}

func (h *host) settings(m *model) {
	h.t.Helper()
	s := datapath.DefaultSettings()
	fib := device(h.t, "fib")
	s.FIBIfindex, s.FIBMAC = uint32(fib.Index), [6]byte(fib.HardwareAddr)
	s.PortMin, s.PortMax = m.portMin, m.portMax
	h.check(h.dp.SetSettings(s))
}

// hostsOwn are the host's addresses and the ports of its processes.
func (h *host) hostsOwn(m *model) {
	h.t.Helper()
	m.host[ip(hostIP)], m.host[ip(hostIP2)], m.host[ip("172.18.255.255")] = false, false, true
	var addrs []datapath.HostAddr
	for a, broadcast := range m.host {
		addrs = append(addrs, datapath.HostAddr{Addr: h.at(a.String()), Broadcast: broadcast})
	}
	h.check(h.dp.SetHostAddrs(addrs))
	for proto, kind := range map[uint8]int{tcp: unix.SOCK_STREAM, udp: unix.SOCK_DGRAM} {
		h.hold(kind, 5003)
		m.sockets[modelAny(5003, proto)] = true
	}
}

// hold has a process of the host listen on a port.
func (h *host) hold(kind, port int) {
	h.t.Helper()
	family, addr := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port})
	if h.six {
		family, addr = unix.AF_INET6, &unix.SockaddrInet6{Port: port}
	}
	fd, err := unix.Socket(family, kind, 0)
	h.check(err)
	h.t.Cleanup(func() { unix.Close(fd) })
	h.check(unix.Bind(fd, addr))
	if kind == unix.SOCK_STREAM {
		h.check(unix.Listen(fd, 1))
	}
}
