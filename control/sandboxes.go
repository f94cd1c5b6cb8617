package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// Sandboxes lists all sandboxes, by name.
func (a *Agent) Sandboxes(context.Context) ([]api.Sandbox, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	byName := map[string][]store.Publish{}
	for _, p := range a.want.publishList() {
		byName[p.Sandbox] = append(byName[p.Sandbox], p)
	}
	var all []api.Sandbox
	for _, sb := range a.want.sandboxList() {
		all = append(all, a.describeSandbox(sb, byName[sb.Name]))
	}
	return all, nil
}

// Sandbox describes one sandbox.
func (a *Agent) Sandbox(_ context.Context, name string) (api.Sandbox, error) {
	if err := api.ValidRef(name); err != nil {
		return api.Sandbox{}, err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	sb, ok := a.want.sandboxes[name]
	if !ok {
		return api.Sandbox{}, noSandbox(name)
	}
	return a.describeSandbox(sb, a.want.published(name)), nil
}

func noSandbox(name string) error {
	return api.Errorf(api.CodeNotFound, "there is no sandbox %q: \"ebnet sandbox ls\" lists them", name)
}

func (a *Agent) describeSandbox(sb store.Sandbox, published []store.Publish) api.Sandbox {
	out := api.Sandbox{Name: sb.Name, ID: sb.ID, Owner: sb.Owner, Netns: sb.Netns, Labels: sb.Labels, DNS: sb.DNS}
	if onHost(sb) {
		out.Netns = fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	}
	for _, at := range bridged(sb) {
		out.Endpoints = append(out.Endpoints, api.Endpoint{
			Network: at.Network, Interface: at.Interface, Addresses: at.Addresses, MAC: at.MAC,
			HostInterface: at.HostInterface, HostMAC: at.HostMAC, Gateways: gateways(a.want.networks[at.Network]),
		})
	}
	for _, p := range published {
		out.Published = append(out.Published, describePublish(p, sb))
	}
	return out
}

// CreateSandbox makes a sandbox with its attachments and published ports, or
// nothing at all.
func (a *Agent) CreateSandbox(ctx context.Context, create api.SandboxCreate) (_ api.Sandbox, err error) {
	a.ops.Lock()
	defer a.ops.Unlock()
	var back undo
	defer func() { err = a.finish("create sandbox "+create.Name, &back, err) }()

	sb, nets, err := a.planSandbox(&create, &back)
	if err != nil {
		return api.Sandbox{}, err
	}
	var publishes []store.Publish
	for _, spec := range create.Publish {
		p, err := a.planPublish(sb, api.PublishCreate{Spec: spec}, &back)
		if err != nil {
			return api.Sandbox{}, err
		}
		publishes = append(publishes, p)
	}
	c := change{putSandboxes: []store.Sandbox{sb}, putPublishes: publishes, putNetworks: nets}
	if err := a.commit(c); err != nil {
		return api.Sandbox{}, err
	}
	back.push(func() error {
		gone := change{delSandboxes: []string{sb.Name}}
		for _, p := range publishes {
			gone.delPublishes = append(gone.delPublishes, p.Key())
		}
		return a.commit(gone)
	})
	if err := a.buildSandbox(sb, &back); err != nil {
		return api.Sandbox{}, fmt.Errorf("create sandbox %s: %w", sb.Name, err)
	}
	for _, p := range publishes {
		if err := a.applyPublish(p, &back); err != nil {
			return api.Sandbox{}, fmt.Errorf("create sandbox %s: %w", sb.Name, err)
		}
	}
	if err := a.syncReservedPorts(); err != nil {
		return api.Sandbox{}, fmt.Errorf("create sandbox %s: %w", sb.Name, err)
	}
	a.watchOwner(sb)
	a.log.Info("sandbox created", "sandbox", sb.Name, "addresses", addresses(sb))
	return a.Sandbox(ctx, sb.Name)
}

// finish ends an operation: after an error it takes back the steps that were
// done, and leaves what cannot be taken back to a reconcile.
func (a *Agent) finish(what string, back *undo, err error) error {
	if err == nil {
		return nil
	}
	if failed := back.run(); failed != nil {
		a.log.Error("undo failed, reconciling", "operation", what, "error", failed)
		a.wake()
	}
	a.releaseReservedPorts()
	return err
}

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

// hostInterface names the host side of an attachment. It fits the kernel's 15
// bytes whatever the sandbox is called.
func hostInterface(id, network string) string {
	h := sha256.Sum256([]byte(id + "/" + network))
	return hostPrefix + hex.EncodeToString(h[:])[:hostDigits]
}

const (
	hostPrefix = "eb"
	hostDigits = 11
)

// isHostInterface says whether a link has a name such as hostInterface makes.
func isHostInterface(name string) bool {
	digits := name[min(len(name), len(hostPrefix)):]
	return len(name) == len(hostPrefix)+hostDigits && name[:len(hostPrefix)] == hostPrefix &&
		!slices.ContainsFunc([]byte(digits), func(c byte) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}

// onHost says whether a sandbox is in the agent's own namespace, which nobody
// may delete or clear of processes.
func onHost(sb store.Sandbox) bool {
	return slices.ContainsFunc(sb.Attachments, func(at store.Attachment) bool { return at.Network == networkHost })
}

// bridged are the attachments that have an interface.
func bridged(sb store.Sandbox) []store.Attachment {
	var out []store.Attachment
	for _, at := range sb.Attachments {
		if at.HostInterface != "" {
			out = append(out, at)
		}
	}
	return out
}

func addresses(sb store.Sandbox) []netip.Prefix {
	var out []netip.Prefix
	for _, at := range sb.Attachments {
		out = append(out, at.Addresses...)
	}
	return out
}

func gateways(n store.Network) []netip.Addr {
	var out []netip.Addr
	for _, s := range n.Subnets {
		out = append(out, s.Gateway)
	}
	return out
}

// RemoveSandbox ends what is published to a sandbox, its processes and flows,
// and removes it.
func (a *Agent) RemoveSandbox(_ context.Context, name string) error {
	if err := api.ValidRef(name); err != nil {
		return err
	}
	a.ops.Lock()
	defer a.ops.Unlock()
	sb, ok := a.want.sandboxes[name]
	if !ok {
		return noSandbox(name)
	}
	return a.removeSandbox(sb)
}

// removeSandbox leaves the store for last: if anything fails before, or the
// agent dies, the sandbox is still wanted and a reconcile brings it back whole.
func (a *Agent) removeSandbox(sb store.Sandbox) error {
	published := a.want.published(sb.Name)
	err := a.dismantle(sb, published)
	if err == nil {
		c := change{delSandboxes: []string{sb.Name}}
		for _, p := range published {
			c.delPublishes = append(c.delPublishes, p.Key())
		}
		err = a.commit(c)
	}
	if err != nil {
		a.wake()
		return fmt.Errorf("remove sandbox %s: %w", sb.Name, err)
	}
	for _, p := range published {
		a.releasePorts(p)
	}
	for _, at := range bridged(sb) {
		for _, addr := range at.Addresses {
			a.pools[at.Network].Release(addr.Addr())
		}
	}
	a.owners.forget(sb.Name)
	a.log.Info("sandbox removed", "sandbox", sb.Name)
	a.releaseReservedPorts()
	return nil
}

// dismantle takes a sandbox out of the kernel: first what leads to it, then it.
func (a *Agent) dismantle(sb store.Sandbox, published []store.Publish) error {
	var errs []error
	for _, p := range published {
		errs = append(errs, a.withdrawPublish(p, sb))
	}
	for _, at := range bridged(sb) {
		errs = append(errs, a.removeEndpoint(at))
	}
	if !onHost(sb) {
		errs = append(errs, a.removeNetns(a.opt.Prefix+sb.Name))
	}
	return errors.Join(errs...)
}
