package control

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

// buildSandbox makes the namespace of a sandbox that is wanted, and what is in it.
func (a *Agent) buildSandbox(sb store.Sandbox, back *undo) error {
	if onHost(sb) {
		return nil
	}
	name := netnsName(sb)
	path, err := a.links.CreateNetns(name)
	if errors.Is(err, netdev.ErrExists) {
		return fmt.Errorf("%w: it is none of this agent's; see \"ip netns\", or choose another name", err)
	}
	if err != nil {
		return err
	}
	back.push(func() error { return a.removeNetns(name) })
	if _, err := a.writeResolvConf(sb); err != nil {
		return err
	}
	ats := bridged(sb)
	if len(ats) == 0 {
		return a.links.UpLoopback(path)
	}
	for _, at := range ats {
		if err := a.buildEndpoint(sb, at, back); err != nil {
			return err
		}
	}
	return nil
}

// buildEndpoint connects a sandbox to a network. The link comes up last, so that
// no packet passes before the program and its tables know the endpoint.
func (a *Agent) buildEndpoint(sb store.Sandbox, at store.Attachment, back *undo) error {
	veth, err := a.veth(sb, at)
	if err != nil {
		return err
	}
	ifindex, err := a.links.CreateVeth(veth)
	if err != nil {
		return err
	}
	a.setLive(at.HostInterface, liveEndpoint{sandbox: sb.Name, network: at.Network, ifindex: ifindex})
	back.push(func() error { return a.removeEndpoint(at) })
	if err := a.hook(a.programs.AttachContainer, ifindex); err != nil {
		return err
	}
	if err := a.putEndpoint(sb, at, ifindex); err != nil {
		return err
	}
	return a.links.UpVeth(veth)
}

// putEndpoint tells the datapath of an endpoint.
func (a *Agent) putEndpoint(sb store.Sandbox, at store.Attachment, ifindex int) error {
	ep, err := a.fwd.PutEndpoint(a.endpointEntry(sb, at, ifindex))
	if err != nil {
		return err
	}
	a.setLive(at.HostInterface, liveEndpoint{sandbox: sb.Name, network: at.Network, ifindex: ifindex, slot: ep.Slot})
	return nil
}

// endpointEntry is an attachment as the datapath knows it, its slot left open.
func (a *Agent) endpointEntry(sb store.Sandbox, at store.Attachment, ifindex int) datapath.Endpoint {
	ep := datapath.Endpoint{Ifindex: uint32(ifindex), Network: a.want.networks[at.Network].Index, Sandbox: sandboxNumber(sb.ID)}
	for _, addr := range at.Addresses {
		if addr.Addr().Is4() {
			ep.Addr4 = addr.Addr()
		} else {
			ep.Addr6 = addr.Addr()
		}
	}
	return ep
}

// sandboxNumber is what the datapath knows a sandbox by: the first 8 bytes of its ID.
func sandboxNumber(id string) uint64 {
	n, _ := strconv.ParseUint(id[:min(16, len(id))], 16, 64) // 0 where it is none: no other endpoint is known
	return n
}

func (a *Agent) setLive(hostInterface string, ep liveEndpoint) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live.endpoints[hostInterface] = ep
}

// removeEndpoint disconnects a sandbox from a network. Its flows die first. The
// program's pins go after its device, which must never be without a program.
func (a *Agent) removeEndpoint(at store.Attachment) error {
	ep, known := a.live.endpoints[at.HostInterface]
	if known {
		if err := a.fwd.DeleteEndpoint(uint32(ep.ifindex)); err != nil {
			return err
		}
	}
	if err := a.links.DeleteLink(at.HostInterface); err != nil {
		return err
	}
	if known {
		if err := a.unhook(ep.ifindex); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.live.endpoints, at.HostInterface)
	return nil
}

// hook attaches to a device and remembers it: a link of a device that goes by
// itself leaves a pin, which nothing in the kernel tells of.
func (a *Agent) hook(attach func(ifindex int) error, ifindex int) error {
	a.hooked[ifindex] = true
	return attach(ifindex)
}

// noteHooked remembers the devices that have a program.
func (a *Agent) noteHooked(attached []loader.Attachment) {
	for _, at := range attached {
		if at.Ifindex != 0 {
			a.hooked[at.Ifindex] = true
		}
	}
}

// unhook detaches from a device, or removes what is left of one that is gone.
func (a *Agent) unhook(ifindex int) error {
	if err := a.programs.Detach(ifindex); err != nil {
		return err
	}
	delete(a.hooked, ifindex)
	return nil
}

// removeNetns ends the processes in a sandbox's namespace and deletes it.
func (a *Agent) removeNetns(name string) error {
	return removeNetns(a.links, a.endProcesses, a.opt.NetnsEtc, name)
}

// endProcesses has the signature of owner.KillAll.
type endProcesses func(list func() ([]int, error)) error

func removeNetns(links Links, end endProcesses, etc, name string) error {
	path := links.NetnsPath(name)
	err := end(func() ([]int, error) {
		pids, err := links.Processes(path)
		if errors.Is(err, netdev.ErrNotFound) {
			return nil, nil
		}
		return pids, err
	})
	if err != nil {
		return fmt.Errorf("namespace %s: %w", name, err)
	}
	if err := links.DeleteNetns(name); err != nil {
		return err
	}
	return removeResolvConf(etc, name)
}

// veth is an attachment as the kernel is to have it.
func (a *Agent) veth(sb store.Sandbox, at store.Attachment) (netdev.Veth, error) {
	n, ok := a.want.networks[at.Network]
	if !ok {
		return netdev.Veth{}, fmt.Errorf("sandbox %s: there is no network %q", sb.Name, at.Network)
	}
	mac, err := net.ParseMAC(at.MAC)
	if err != nil {
		return netdev.Veth{}, fmt.Errorf("sandbox %s: %w", sb.Name, err)
	}
	hostMAC, err := net.ParseMAC(at.HostMAC)
	if err != nil {
		return netdev.Veth{}, fmt.Errorf("sandbox %s: %w", sb.Name, err)
	}
	return netdev.Veth{
		Host: at.HostInterface, MTU: a.mtu(n), HostMAC: hostMAC, Bridge: n.Bridge, Isolated: !n.ICC,
		Netns: sb.Netns, Peer: at.Interface, PeerMAC: mac, Addrs: a.live.addable(at.Addresses), Gateways: ways(n),
		Default4: a.isDefault(sb, at, ipv4), Default6: a.live.noIPv6 == nil && a.isDefault(sb, at, ipv6), Table: table(sb, at),
	}, nil
}

// bridge is a network's bridge as the kernel is to have it.
func (a *Agent) bridge(n store.Network) (netdev.Bridge, error) {
	b := netdev.Bridge{Name: n.Bridge, MTU: a.mtu(n), Foreign: !n.OwnsBridge}
	if n.OwnsBridge {
		mac, err := net.ParseMAC(n.BridgeMAC)
		if err != nil {
			return b, fmt.Errorf("network %s: %w", n.Name, err)
		}
		b.MAC = mac
	}
	for _, s := range n.Subnets {
		b.Addrs = append(b.Addrs, gatewayPrefix(s))
	}
	b.Addrs = a.live.addable(b.Addrs)
	return b, nil
}

// networkEntry is a network as the datapath knows it.
func (a *Agent) networkEntry(n store.Network, bridge int) datapath.Network {
	out := datapath.Network{
		Index: n.Index, Bridge: uint32(bridge), Masquerade: n.Masquerade, Internal: n.Internal, ICC: n.ICC,
		KernelNAT: foreign(n.Owner) && a.live.rules,
	}
	for _, gw := range gateways(n) {
		switch {
		case gw.Is4():
			out.Gateway4 = gw
		case gw.Is6():
			out.Gateway6 = gw
		}
	}
	return out
}
