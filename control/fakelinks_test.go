package control

import (
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/control/netdev"
)

func (k *fakeKernel) EnsureBridge(b netdev.Bridge) (int, bool, error) {
	if err := k.step("bridge"); err != nil {
		return 0, false, err
	}
	l, ok := k.links[b.Name]
	if !ok {
		return k.add(netdev.LinkInfo{Name: b.Name, Kind: "bridge", Up: true, MTU: b.MTU, Addrs: b.Addrs}), true, nil
	}
	l.Up, l.Addrs = true, b.Addrs
	k.links[b.Name] = l
	return l.Index, false, nil
}

func (k *fakeKernel) CreateVeth(v netdev.Veth) (int, error) {
	if err := k.step("veth"); err != nil {
		return 0, err
	}
	if _, ok := k.links[v.Host]; ok {
		return 0, netdev.ErrExists
	}
	k.inside[v.Host] = v.Netns
	return k.add(netdev.LinkInfo{Name: v.Host, Kind: "veth", MTU: v.MTU}), nil
}

func (k *fakeKernel) UpVeth(v netdev.Veth) error {
	if err := k.step("up"); err != nil {
		return err
	}
	l, ok := k.links[v.Host]
	if !ok {
		return netdev.ErrNotFound
	}
	l.Up, l.Master = true, k.links[v.Bridge].Index
	k.busy.Lock()
	defer k.busy.Unlock()
	k.links[v.Host] = l
	k.netns[v.Netns] = fmt.Sprint(v.Peer, v.Addrs, v.Gateways)
	return nil
}

func (k *fakeKernel) UpLoopback(netns string) error {
	if err := k.step("lo"); err != nil {
		return err
	}
	k.netns[netns] = "lo"
	return nil
}

func (k *fakeKernel) DeleteLink(name string) error {
	if err := k.step("delete link"); err != nil {
		return err
	}
	k.lose(name)
	return nil
}

// lose makes a link vanish as the kernel does: a bridge's ports stay.
func (k *fakeKernel) lose(name string) {
	k.busy.Lock()
	defer k.busy.Unlock()
	gone := k.links[name].Index
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

func (k *fakeKernel) EnsureFIBLink(name string) (int, error) {
	if l, ok := k.links[name]; ok {
		return l.Index, nil
	}
	if err := k.step("fib"); err != nil {
		return 0, err
	}
	return k.add(netdev.LinkInfo{Name: name, Kind: "veth", Up: true}), nil
}

func (k *fakeKernel) Routes() ([]netip.Prefix, error) { return k.routes, nil }

func (k *fakeKernel) CreateNetns(name string) (string, error) {
	if err := k.step("netns"); err != nil {
		return "", err
	}
	path := k.NetnsPath(name)
	if _, ok := k.netns[path]; ok {
		return "", fmt.Errorf("create namespace %s: %w", name, netdev.ErrExists)
	}
	k.netns[path] = ""
	return path, nil
}

func (k *fakeKernel) DeleteNetns(name string) error {
	if err := k.step("delete netns"); err != nil {
		return err
	}
	path := k.NetnsPath(name)
	delete(k.netns, path)
	for link, inside := range k.inside {
		if inside == path {
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
