package control

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// planSandbox checks what is asked for and reserves names and addresses for it.
// It returns the networks whose address cursor has moved.
func (a *Agent) planSandbox(create *api.SandboxCreate, back *undo) (store.Sandbox, []store.Network, error) {
	if create.Name == "" {
		create.Name = a.freeName()
	}
	if err := api.ValidName(create.Name); err != nil {
		return store.Sandbox{}, nil, err
	}
	if _, ok := a.want.sandboxes[create.Name]; ok {
		return store.Sandbox{}, nil, api.Errorf(api.CodeConflict, "create sandbox %s: there is one already: choose another name, or remove it first with \"ebnet sandbox rm %s\"", create.Name, create.Name)
	}
	if len(create.Networks) == 0 {
		create.Networks = []api.Attachment{{Network: networkDefault}}
	}
	if len(create.Networks) > 1 {
		return store.Sandbox{}, nil, api.Errorf(api.CodeUnprocessable, "create sandbox %s: several networks on one sandbox are not supported yet", create.Name)
	}
	sb := store.Sandbox{
		Name: create.Name, ID: store.NewID(), Owner: ownerEbnet, Netns: a.links.NetnsPath(a.opt.Prefix + create.Name),
		DNS: create.DNS, Labels: create.Labels, Created: time.Now().UTC(),
	}
	if create.OwnerPID != 0 {
		process, err := a.identify(create.OwnerPID)
		if err != nil {
			return store.Sandbox{}, nil, err
		}
		sb.Process = process
	}
	at, nets, err := a.planAttachment(sb, create.Networks[0], back)
	if err != nil {
		return store.Sandbox{}, nil, fmt.Errorf("create sandbox %s: %w", create.Name, err)
	}
	sb.Attachments = []store.Attachment{at}
	if onHost(sb) {
		sb.Netns = ""
	}
	return sb, nets, nil
}

func (a *Agent) planAttachment(sb store.Sandbox, want api.Attachment, back *undo) (store.Attachment, []store.Network, error) {
	at := store.Attachment{Network: want.Network}
	if want.Network == networkNone || want.Network == networkHost {
		if want.IP.IsValid() || want.MAC != "" {
			return at, nil, api.Errorf(api.CodeUnprocessable, "network %s has no addresses: leave out ip and mac", want.Network)
		}
		return at, nil, nil
	}
	n, ok := a.want.networks[want.Network]
	if !ok {
		return at, nil, noNetwork(want.Network)
	}
	pool := a.pools[n.Name]
	addr := want.IP
	var err error
	if addr.IsValid() {
		err = pool.Reserve(addr)
	} else {
		addr, err = pool.Allocate()
	}
	if err != nil {
		return at, nil, fmt.Errorf("network %s: %w", n.Name, err)
	}
	back.push(func() error { pool.Release(addr); return nil })
	mac, err := chooseMAC(want.MAC, addr)
	if err != nil {
		return at, nil, err
	}
	if other, ok := a.hasMAC(n.Name, mac); ok {
		return at, nil, api.Errorf(api.CodeConflict, "MAC address %s is taken by sandbox %s", mac, other)
	}
	at.Interface = "eth0"
	at.Addresses = []netip.Prefix{netip.PrefixFrom(addr, pool.Subnet().Bits())}
	at.MAC = mac
	at.HostInterface = hostInterface(sb.ID, n.Name)
	at.HostMAC = stableMAC(sb.ID + "/" + n.Name)
	n.Subnets = slices.Clone(n.Subnets)
	n.Subnets[0].Cursor = pool.Cursor()
	return at, []store.Network{n}, nil
}

// chooseMAC takes the address that was asked for, or makes one of the IPv4
// address as Docker does: 02:42 and the four bytes.
func chooseMAC(asked string, addr netip.Addr) (string, error) {
	if asked != "" {
		mac, err := net.ParseMAC(asked)
		if err != nil || len(mac) != 6 || mac[0]&1 != 0 {
			return "", api.Errorf(api.CodeBadRequest, "MAC address %q is not that of a single Ethernet device", asked)
		}
		return mac.String(), nil
	}
	b := addr.As4()
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}.String(), nil
}

func (a *Agent) hasMAC(network, mac string) (sandbox string, found bool) {
	for _, sb := range a.want.sandboxes {
		for _, at := range sb.Attachments {
			if at.Network == network && at.MAC == mac {
				return sb.Name, true
			}
		}
	}
	return "", false
}

// freeName makes a name for a sandbox whose creator has none.
func (a *Agent) freeName() string {
	for {
		name := "sandbox-" + strconv.FormatUint(uint64(a.random.Uint32()), 16)
		if _, taken := a.want.sandboxes[name]; !taken {
			return name
		}
	}
}
