package control

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ebnet/ebnet/control/netdev"
)

func (k *fakeKernel) EnsureBridge(b netdev.Bridge) (int, bool, error) {
	if err := k.step("bridge"); err != nil {
		return 0, false, err
	}
	l, ok := k.links[b.Name]
	if !ok {
		if b.Foreign {
			return 0, false, netdev.ErrNotFound
		}
		return k.add(netdev.LinkInfo{Name: b.Name, Kind: "bridge", Up: true, MTU: b.MTU, MAC: b.MAC, Addrs: b.Addrs}), true, nil
	}
	if l.Kind != "bridge" {
		return 0, false, netdev.ErrNotBridge
	}
	l.Up = true
	if !b.Foreign {
		l.MTU, l.MAC = b.MTU, b.MAC
		for _, p := range b.Addrs {
			delete(k.unrouted, p)
		}
	}
	for _, p := range b.Addrs {
		if !slices.Contains(l.Addrs, p) {
			l.Addrs = append(slices.Clone(l.Addrs), p)
		}
	}
	k.change(l)
	return l.Index, false, nil
}

func (k *fakeKernel) CreateVeth(v netdev.Veth) (int, error) {
	if err := k.step("veth"); err != nil {
		return 0, err
	}
	if _, ok := k.links[v.Host]; ok {
		return 0, netdev.ErrExists
	}
	ns := k.netns[v.Netns]
	if _, ok := ns[v.Peer]; ok {
		return 0, fmt.Errorf("%s in %s: %w", v.Peer, v.Netns, netdev.ErrExists)
	}
	k.inside[v.Host] = place{v.Netns, v.Peer}
	if ns != nil { // else it is none of this world's
		ns[v.Peer] = &fakeDevice{}
	}
	return k.add(netdev.LinkInfo{Name: v.Host, Kind: "veth", MTU: v.MTU, MAC: v.HostMAC}), nil
}

func (k *fakeKernel) UpVeth(v netdev.Veth) error {
	if err := k.step("up"); err != nil {
		return err
	}
	l, ok := k.links[v.Host]
	if !ok {
		return netdev.ErrNotFound
	}
	bridge, ok := k.links[v.Bridge]
	at := k.inside[v.Host]
	ns := k.netns[v.Netns]
	if !ok || at.netns != v.Netns || ns[at.peer] == nil {
		return netdev.ErrNotFound
	}
	if at.peer != v.Peer && ns[v.Peer] != nil {
		return netdev.ErrExists
	}
	if dev := ns[at.peer]; at.peer != v.Peer {
		delete(ns, at.peer)
		ns[v.Peer], k.inside[v.Host] = dev, place{v.Netns, v.Peer}
	}
	if l.Master != bridge.Index && k.ports(bridge.Index) >= netdev.MaxBridgePorts {
		return netdev.ErrBridgeFull
	}
	l.Up, l.Master, l.Isolated, l.MTU = true, bridge.Index, v.Isolated, v.MTU
	k.change(l)
	k.netns[v.Netns].configure(v)
	return nil
}

func (k *fakeKernel) PruneRules(netns string, keep ...int) error {
	if err := k.step("prune rules"); err != nil {
		return err
	}
	ns := k.netns[netns]
	for name := range ns {
		table, isRule := strings.CutPrefix(name, "rule ")
		if n, _ := strconv.Atoi(table); isRule && !slices.Contains(keep, n) {
			delete(ns, name)
		}
	}
	return nil
}

func (k *fakeKernel) Inside(netns string) (inside, error) {
	ns, ok := k.netns[netns]
	if !ok {
		return inside{}, netdev.ErrNotFound
	}
	have := inside{links: map[string]netdev.LinkInfo{}, ways: map[family]int{}}
	for name, dev := range ns {
		if strings.HasPrefix(name, "rule ") {
			continue
		}
		index := len(have.links) + 1
		have.links[name] = netdev.LinkInfo{Index: index, Name: name, Up: dev.up, Addrs: dev.addrs, MAC: dev.mac, MTU: dev.mtu}
		for f, way := range map[family]bool{ipv4: dev.way, ipv6: dev.way6} {
			if way {
				have.ways[f] = index
			}
		}
	}
	have.way = cmp.Or(have.ways[ipv4], have.ways[ipv6])
	return have, nil
}

func (k *fakeKernel) UpLoopback(netns string) error {
	if err := k.step("lo"); err != nil {
		return err
	}
	k.netns[netns]["lo"] = &fakeDevice{up: true}
	return nil
}

func (k *fakeKernel) DeleteLink(name string) error {
	if err := k.step("delete link"); err != nil {
		return err
	}
	k.lose(name)
	return nil
}

func (k *fakeKernel) RemoveAddr(link string, addr netip.Prefix) error {
	if err := k.step("remove address"); err != nil {
		return err
	}
	if l, ok := k.links[link]; ok {
		l.Addrs = slices.DeleteFunc(slices.Clone(l.Addrs), func(p netip.Prefix) bool { return p == addr })
		k.change(l)
	}
	return nil
}

// lose makes a link vanish as the kernel does: a bridge's ports stay.
func (k *fakeKernel) lose(name string) {
	k.busy.Lock()
	defer k.busy.Unlock()
	gone := k.links[name].Index
	if at, ok := k.inside[name]; ok {
		delete(k.netns[at.netns], at.peer)
	}
	delete(k.links, name)
	delete(k.inside, name)
	for other, l := range k.links {
		if l.Master == gone && gone != 0 {
			l.Master = 0
			k.links[other] = l
		}
	}
}

func (k *fakeKernel) Links() ([]netdev.LinkInfo, error) {
	var out []netdev.LinkInfo
	for _, l := range k.links {
		out = append(out, l)
	}
	return out, nil
}

// PeerOf knows the other ends that a test put into inside.
func (k *fakeKernel) PeerOf(l netdev.LinkInfo) (netdev.LinkInfo, error) {
	at, ok := k.inside[l.Name]
	dev := k.netns[at.netns][at.peer]
	if !ok || dev == nil {
		return netdev.LinkInfo{}, netdev.ErrNotFound
	}
	return netdev.LinkInfo{Name: at.peer, Kind: "veth", Up: dev.up, Addrs: dev.addrs}, nil
}

func (k *fakeKernel) PeerAddrs(l netdev.LinkInfo) ([]netip.Prefix, error) {
	peer, err := k.PeerOf(l)
	return peer.Addrs, err
}

func (k *fakeKernel) CheckIPv6() error { return k.noIPv6 }

func (k *fakeKernel) EnsureFIBLink(name string) (netdev.FIBLink, error) {
	if l, ok := k.links[name]; ok {
		return netdev.FIBLink{Index: l.Index}, nil
	}
	if err := k.step("fib"); err != nil {
		return netdev.FIBLink{}, err
	}
	return netdev.FIBLink{Index: k.add(netdev.LinkInfo{Name: name, Kind: "veth", Up: true})}, nil
}

// Routes are those that come with addresses, and others.
func (k *fakeKernel) Routes() ([]netdev.Route, error) {
	out := slices.Clone(k.routes)
	for _, l := range k.links {
		for _, p := range l.Addrs {
			if l.Up && !k.unrouted[p] {
				out = append(out, netdev.Route{Dst: p.Masked(), Device: l.Index, Main: true},
					netdev.Route{Dst: netip.PrefixFrom(p.Addr(), p.Addr().BitLen()), Device: l.Index, Local: true})
			}
		}
	}
	return out, nil
}

func (k *fakeKernel) Addresses() (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	for name, l := range k.links {
		for _, p := range l.Addrs {
			out[p.Addr()] = name
		}
	}
	return out, nil
}

func (k *fakeKernel) RenameLink(ifindex int, name string) error {
	if err := k.step("rename"); err != nil {
		return err
	}
	if _, taken := k.links[name]; taken {
		return netdev.ErrExists
	}
	return k.rename(k.name(ifindex), name)
}

// rename does what somebody does by hand.
func (k *fakeKernel) rename(old, name string) error {
	k.busy.Lock()
	defer k.busy.Unlock()
	l, ok := k.links[old]
	if !ok {
		return netdev.ErrNotFound
	}
	delete(k.links, old)
	l.Name = name
	k.links[name] = l
	if at, ok := k.inside[old]; ok {
		delete(k.inside, old)
		k.inside[name] = at
	}
	return nil
}

func (k *fakeKernel) DefaultUplink([]netdev.LinkInfo) (int, bool, error) {
	l, ok := k.links[k.way]
	return l.Index, ok, nil
}

func (k *fakeKernel) CreateNetns(name string) (string, error) {
	if err := k.step("netns"); err != nil {
		return "", err
	}
	path := k.NetnsPath(name)
	if _, ok := k.netns[path]; ok {
		return "", fmt.Errorf("create namespace %s: %w", name, netdev.ErrExists)
	}
	k.netns[path] = fakeNetns{}
	return path, nil
}

func (k *fakeKernel) DeleteNetns(name string) error {
	if err := k.step("delete netns"); err != nil {
		return err
	}
	path := k.NetnsPath(name)
	delete(k.netns, path)
	for link, at := range k.inside {
		if at.netns == path {
			k.lose(link)
		}
	}
	return nil
}

func (k *fakeKernel) NetnsPath(name string) string { return "/fake/" + name }

func (k *fakeKernel) ListNetns() ([]string, error) {
	var out []string
	for path := range k.netns {
		out = append(out, path[len("/fake/"):])
	}
	return out, nil
}

func (k *fakeKernel) Processes(string) ([]int, error) { return k.processes, nil }

func (k *fakeKernel) ReservedPorts() (netdev.PortSet, error) { return k.reserved, nil }

func (k *fakeKernel) WriteReservedPorts(set netdev.PortSet) error {
	if err := k.step("reserved ports"); err != nil {
		return err
	}
	k.reserved = set
	return nil
}

func (k *fakeKernel) LocalPorts() (first, last uint16, err error) { return 32768, 60999, nil }

func (k *fakeKernel) DestroySockets(_ uint8, match func(netdev.Socket) bool) (int, error) {
	sockets := k.sockets
	for _, o := range k.origins {
		sockets = append(sockets, netdev.Socket{Cookie: o.Cookie})
	}
	n := 0
	for _, s := range sockets {
		if match(s) {
			k.destroyed = append(k.destroyed, s.Cookie)
			n++
		}
	}
	return n, nil
}
