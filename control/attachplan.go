package control

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/ipam"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// planAttachment checks one more attachment of a sandbox, behind those that it
// has, and reserves an address for it. It returns the network if its address
// cursor has moved.
func (a *Agent) planAttachment(sb store.Sandbox, want api.Attachment, back *undo) (store.Attachment, []store.Network, error) {
	n, err := a.findNetwork(want.Network)
	if err == nil {
		err = mayEnter(n)
	}
	if err != nil {
		return store.Attachment{}, nil, err
	}
	if err := a.mayJoin(sb, want.Network); err != nil {
		return store.Attachment{}, nil, err
	}
	at := store.Attachment{Network: want.Network}
	if n.Driver != api.DriverBridge {
		if want.IP.IsValid() || want.IP6.IsValid() || want.MAC != "" {
			return at, nil, api.Errorf(api.CodeUnprocessable, "network %s has no addresses: leave out ip and mac", want.Network)
		}
		return at, nil, nil
	}
	if err := a.hasPort(n); err != nil {
		return at, nil, err
	}
	if at.Addresses, err = a.takeAddresses(n, []netip.Addr{want.IP.Unmap(), want.IP6.Unmap()}, back); err != nil {
		return at, nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	if at.MAC, err = a.takeMAC(n, want.MAC, at.Addresses[0].Addr()); err != nil {
		return at, nil, err
	}
	at.Interface = nextInterface(sb.Attachments)
	at.HostInterface = hostInterface(sb.ID, n.Name)
	at.HostMAC = stableMAC(sb.ID + "/" + n.Name)
	n.Subnets = slices.Clone(n.Subnets)
	for i, pool := range a.pools[n.Name] {
		n.Subnets[i].Cursor = pool.Cursor()
	}
	return at, []store.Network{n}, nil
}

// mostAddresses is how many addresses a sandbox can have, on all of its networks: so many
// the datapath keeps together.
const mostAddresses = 32

// mayJoin says whether a sandbox can be on a network beside those that it is on.
func (a *Agent) mayJoin(sb store.Sandbox, network string) error {
	if _, on := findAttachment(sb, network); on {
		return api.Errorf(api.CodeConflict, "sandbox %s is on network %s already", sb.Name, network)
	}
	if len(sb.Attachments) == 0 {
		return nil
	}
	if has, more := len(addresses(sb)), len(a.want.networks[network].Subnets); has+more > mostAddresses {
		return api.Errorf(api.CodeUnprocessable, "sandbox %s has %d addresses already, and with %d of network %s more than the %d that a sandbox can have",
			sb.Name, has, more, network, mostAddresses)
	}
	for _, name := range []string{sb.Attachments[0].Network, network} {
		if a.want.networks[name].Driver != api.DriverBridge {
			return api.Errorf(api.CodeUnprocessable, "a sandbox on network %s is on no other", name)
		}
	}
	return nil
}

// hasPort refuses what a network's bridge has no room for.
func (a *Agent) hasPort(n store.Network) error {
	ports := len(a.want.members(n.Name))
	if !n.OwnsBridge { // so others may have ports on it
		links, err := a.links.Links()
		if err != nil {
			return err
		}
		ports = max(ports, netdev.BridgePorts(links, a.live.bridges[n.Name]))
	}
	if ports < netdev.MaxBridgePorts {
		return nil
	}
	return api.Errorf(api.CodeConflict, "network %s is full: its bridge %s has %d ports, and the kernel allows no more: use another network", n.Name, n.Bridge, ports)
}

// takeAddresses reserves an address in each of a network's subnets: the one that was asked
// for, or a free one.
func (a *Agent) takeAddresses(n store.Network, asked []netip.Addr, back *undo) ([]netip.Prefix, error) {
	for i, addr := range asked {
		switch {
		case !addr.IsValid():
		case !familyOf(addr).servedBy(n):
			return nil, api.Errorf(api.CodeUnprocessable, "address %s: it has no %s subnet", addr, familyOf(addr))
		case familyOf(addr).firstOf(asked[:i]).IsValid():
			return nil, api.Errorf(api.CodeBadRequest, "two %s addresses: %s and %s", familyOf(addr), asked[0], addr)
		}
	}
	var out []netip.Prefix
	for _, pool := range a.pools[n.Name] {
		f := familyOf(pool.Gateway())
		addr, err := a.takeAddress(n, pool, f.firstOf(asked), back)
		if err != nil {
			return nil, err
		}
		out = append(out, netip.PrefixFrom(addr, pool.Subnet().Bits()))
	}
	return out, nil
}

// takeAddress reserves the address that was asked for in a subnet, or a free one.
func (a *Agent) takeAddress(n store.Network, pool *ipam.Allocator, addr netip.Addr, back *undo) (netip.Addr, error) {
	hosts, err := a.links.Addresses() // as they are now: the host may have got one just before
	if err != nil {
		return addr, err
	}
	switch dev, taken := hosts[addr]; {
	case taken && addr != pool.Gateway():
		err = api.Errorf(api.CodeConflict, "address %s is the host's own, on %s: choose another one, or remove it from there", addr, dev)
	case addr.IsValid():
		err = pool.Reserve(addr)
	default:
		addr, err = pool.Allocate(slices.Collect(maps.Keys(hosts))...)
	}
	if holder, ok := a.holder(n.Name, addr); ok && errors.Is(err, ipam.ErrTaken) {
		err = api.Errorf(api.CodeConflict, "address %s is taken by sandbox %s", addr, holder)
	}
	if err != nil {
		return addr, err
	}
	back.push(func() error { pool.Release(addr); return nil })
	return addr, nil
}

// holder is the sandbox that has an address on a network.
func (a *Agent) holder(network string, addr netip.Addr) (sandbox string, found bool) {
	return a.findMember(network, func(at store.Attachment) bool {
		return slices.ContainsFunc(at.Addresses, func(p netip.Prefix) bool { return p.Addr() == addr })
	})
}

// takeMAC decides on an attachment's MAC address, which no other one on the
// network has. One that is asked for is not that of the bridge or of one of its ports
// either: the bridge would keep what is meant for the sandbox.
func (a *Agent) takeMAC(n store.Network, asked string, addr netip.Addr) (string, error) {
	mac, err := chooseMAC(asked, addr)
	if err != nil {
		return "", err
	}
	if other, ok := a.findMember(n.Name, func(at store.Attachment) bool { return at.MAC == mac }); ok {
		return "", api.Errorf(api.CodeConflict, "MAC address %s is taken by sandbox %s", mac, other)
	}
	if asked == "" {
		return mac, nil
	}
	links, err := a.linksByName()
	if err != nil {
		return "", err
	}
	bridge := links[n.Bridge]
	for _, l := range links {
		isOnBridge := bridge.Index != 0 && (l.Index == bridge.Index || l.Master == bridge.Index)
		if isOnBridge && l.MAC.String() == mac {
			return "", api.Errorf(api.CodeConflict, "MAC address %s is taken by %s of the host, through which network %s goes", mac, l.Name, n.Name)
		}
	}
	return mac, nil
}

// findMember finds the sandbox whose attachment to a network is like that.
func (a *Agent) findMember(network string, like func(store.Attachment) bool) (sandbox string, found bool) {
	for _, sb := range a.want.sandboxes {
		if at, on := findAttachment(sb, network); on && like(at) {
			return sb.Name, true
		}
	}
	return "", false
}

// chooseMAC takes the address that was asked for, or makes one of the IPv4
// address as Docker does: 02:42 and the four bytes. Where there is none it takes four
// bytes that depend on all of the IPv6 address.
func chooseMAC(asked string, addr netip.Addr) (string, error) {
	if asked != "" {
		return api.ParseMAC(asked)
	}
	if addr.Is6() {
		h := sha256.Sum256(addr.AsSlice())
		return net.HardwareAddr{0x02, 0x42, h[0], h[1], h[2], h[3]}.String(), nil
	}
	b := addr.As4()
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}.String(), nil
}
