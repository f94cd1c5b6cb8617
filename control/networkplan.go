package control

import (
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// planNetwork checks what is asked for and fills in what is left open.
func (a *Agent) planNetwork(create api.NetworkCreate) (store.Network, error) {
	if _, taken := a.want.networks[create.Name]; taken || isBuiltIn(create.Name) {
		return store.Network{}, api.Errorf(api.CodeConflict, "there is one already: choose another name, or see \"ebnet network inspect %s\"", create.Name)
	}
	create, err := create.Resolve()
	if err != nil {
		return store.Network{}, err
	}
	n := store.Network{
		Name: create.Name, ID: store.NewID(), Driver: create.Driver, Owner: ownerEbnet,
		Options: create.Options, Labels: create.Labels, Created: time.Now().UTC(),
	}
	if n.Driver != api.DriverBridge {
		return n, nil
	}
	if create.IPv6 {
		if err := a.links.CheckIPv6(); err != nil {
			return store.Network{}, api.Errorf(api.CodeUnprocessable, "%w", err)
		}
	}
	n.Index = a.freeIndex()
	n.MTU, n.HostIP = create.MTU, create.HostIP.Unmap()
	n.Internal, n.ICC, n.Masquerade = create.Internal, !create.NoICC, !create.NoMasquerade
	links, err := a.linksByName()
	if err != nil {
		return store.Network{}, err
	}
	if err := a.planBridge(&n, create.Bridge, links); err != nil {
		return store.Network{}, err
	}
	if mtu := a.mtu(n); create.IPv6 && mtu < api.MinMTU6 {
		return store.Network{}, api.Errorf(api.CodeUnprocessable, "mtu %d, that of the way out, is too small for IPv6, which needs %d bytes: give one", mtu, api.MinMTU6)
	}
	n.Subnets, err = a.planSubnets(n, create, links)
	return n, err
}

func isBuiltIn(network string) bool { return network == networkNone || network == networkHost }

// planBridge decides which bridge a network has: one of the name that is there is
// used as it is and stays somebody else's.
func (a *Agent) planBridge(n *store.Network, name string, links map[string]netdev.LinkInfo) error {
	for _, other := range a.want.networkList() {
		if name != "" && other.Bridge == name {
			return api.Errorf(api.CodeConflict, "bridge %s is that of network %s", name, other.Name)
		}
	}
	n.Bridge = name
	link, found := links[name]
	switch {
	case name == "":
		n.Bridge = bridgeName(n.ID)
	case found && link.Kind != "bridge":
		return api.Errorf(api.CodeUnprocessable, "%s is no bridge but a link of kind %s: choose another name", name, link.Kind)
	case found:
		if n.MTU == 0 {
			n.MTU = link.MTU // a port with a smaller one would change the bridge's
		}
		return nil
	}
	n.OwnsBridge, n.BridgeMAC = true, stableMAC(n.ID)
	return nil
}

// linksByName reads all links.
func (a *Agent) linksByName() (map[string]netdev.LinkInfo, error) {
	links, err := a.links.Links()
	if err != nil {
		return nil, err
	}
	byName := make(map[string]netdev.LinkInfo, len(links))
	for _, l := range links {
		byName[l.Name] = l
	}
	return byName, nil
}

// freeIndex is the lowest number that no network has in the datapath.
func (a *Agent) freeIndex() uint16 {
	for i := uint16(1); ; i++ {
		taken := false
		for _, n := range a.want.networks {
			taken = taken || n.Index == i
		}
		if !taken {
			return i
		}
	}
}
