package control

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

var errInjected = errors.New("injected failure")

// injector fails chosen ones of the calls that change something.
type injector struct {
	mu    sync.Mutex
	calls []string // so far
	at    int      // fail this call, counted from 1; 0: none
	dead  bool     // and all behind it, as if the agent had been killed
}

// step is one change; it happens unless there is an error.
func (i *injector) step(what string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls = append(i.calls, what)
	n := len(i.calls)
	if i.at != 0 && (n == i.at || i.dead && n > i.at) {
		return fmt.Errorf("%s: %w", what, errInjected)
	}
	return nil
}

// arm chooses which of the calls from now on fails.
func (i *injector) arm(at int, dead bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls, i.at, i.dead = nil, at, dead
}

// fakeStore is a real store whose writes can fail.
type fakeStore struct {
	*store.Store
	*injector
}

func (s fakeStore) Update(fn func(*store.Tx) error) error {
	if err := s.step("store"); err != nil {
		return err
	}
	return s.Store.Update(fn)
}

// fakeKernel stands for links, programs and tables.
type fakeKernel struct {
	*injector
	busy      sync.Mutex // for what status reads while operations work
	next      int
	links     map[string]netdev.LinkInfo
	inside    map[string]place // of the other end, by host-side link
	netns     map[string]fakeNetns
	routes    []netdev.Route        // beside those that come with addresses
	unrouted  map[netip.Prefix]bool // addresses of which somebody has removed those
	noIPv6    error                 // why the host has none
	way       string                // the link with the host's default route
	processes []int
	reserved  netdev.PortSet
	programs  map[int][]string
	endpoints map[uint32]datapath.Endpoint
	networks  map[uint16]datapath.Network
	publishes map[string]datapath.Publish
	origins   []datapath.Origin         // the host's own connections by published ports
	destroyed []uint64                  // cookies of those that were ended
	sockets   []netdev.Socket           // beside those of origins
	allowed   map[uint32][]netip.Prefix // source lists by slot
	uplinks   []datapath.Uplink
	addrs     []datapath.HostAddr
	flushed   []string
	swept     int
	unpinned  []string // pins that somebody has removed
	hints     chan struct{}
	afterRead func() // happens when what is published has just been read; nil: nothing
	blind     error  // why what is lost cannot be found out
}

func newFakeKernel() *fakeKernel {
	k := &fakeKernel{
		injector:  &injector{},
		links:     map[string]netdev.LinkInfo{},
		inside:    map[string]place{},
		netns:     map[string]fakeNetns{},
		way:       "up0",
		programs:  map[int][]string{},
		endpoints: map[uint32]datapath.Endpoint{},
		networks:  map[uint16]datapath.Network{},
		publishes: map[string]datapath.Publish{},
		allowed:   map[uint32][]netip.Prefix{},
		unrouted:  map[netip.Prefix]bool{},
		hints:     make(chan struct{}, 1),
	}
	k.add(netdev.LinkInfo{
		Name: "up0", Kind: "device", Up: true, MTU: 1500,
		Addrs: []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")},
	})
	return k
}

func (k *fakeKernel) add(l netdev.LinkInfo) int {
	k.busy.Lock()
	defer k.busy.Unlock()
	k.next++
	l.Index = k.next
	k.links[l.Name] = l
	return l.Index
}

// change replaces a link.
func (k *fakeKernel) change(l netdev.LinkInfo) {
	k.busy.Lock()
	defer k.busy.Unlock()
	k.links[l.Name] = l
}

func (k *fakeKernel) ports(bridge int) int {
	n := 0
	for _, l := range k.links {
		if l.Master == bridge {
			n++
		}
	}
	return n
}

func (k *fakeKernel) name(ifindex int) string {
	for name, l := range k.links {
		if l.Index == ifindex {
			return name
		}
	}
	return fmt.Sprintf("gone-%d", ifindex)
}

// label stands for a link's name, which may have been chosen at random.
func (k *fakeKernel) label(link string) string {
	if at, ok := k.inside[link]; ok {
		return "link of " + at.peer + " in " + at.netns
	}
	for index, n := range k.networks {
		if isBridgeName(link) && int(n.Bridge) == k.links[link].Index {
			return fmt.Sprint("bridge of ", index)
		}
	}
	return link
}

// String shows all that is there, without the numbers that the kernel chooses.
func (k *fakeKernel) String() string {
	links := map[string]string{}
	for name, l := range k.links {
		master := ""
		if l.Master != 0 {
			master = k.label(k.name(l.Master))
		}
		links[k.label(name)] = fmt.Sprint(l.Kind, l.Up, l.MTU, master, l.Isolated, l.Addrs, slices.Sorted(slices.Values(k.programs[l.Index])))
	}
	endpoints := map[string]string{}
	for ifindex, ep := range k.endpoints {
		endpoints[k.label(k.name(int(ifindex)))] = fmt.Sprint(ep.Addr4, ep.Network)
	}
	stale := 0
	for ifindex := range k.programs {
		if ifindex != 0 && k.isGone(ifindex) {
			stale++
		}
	}
	networks := map[uint16]string{}
	for i, n := range k.networks {
		networks[i] = fmt.Sprint(n.Gateway4, n.Masquerade, n.Internal, n.ICC, k.label(k.name(int(n.Bridge))))
		if n.KernelNAT {
			networks[i] += " beside the kernel's NAT"
		}
	}
	publishes := map[string]string{}
	for key, p := range k.publishes {
		publishes[key] = fmt.Sprint(p.Target, p.Port, k.allowed[p.Slot])
		if p.Held {
			publishes[key] += " held"
		}
	}
	return fmt.Sprintf("links %v\nunrouted %v\nnetns %v\nendpoints %v\nnetworks %v\npublishes %v\nreserved %v\nstale pins %d\nlost pins %v\naddresses %v",
		links, k.unrouted, k.netns, endpoints, networks, publishes, k.reserved, stale, k.unpinned, k.addrs)
}

func (k *fakeKernel) attach(ifindex int, hooks ...string) error {
	if err := k.step("attach"); err != nil {
		return err
	}
	k.busy.Lock()
	defer k.busy.Unlock()
	k.programs[ifindex] = hooks
	return nil
}

func (k *fakeKernel) AttachContainer(ifindex int) error { return k.attach(ifindex, "tcx/ingress") }

func (k *fakeKernel) AttachBridge(ifindex int) error {
	return k.attach(ifindex, "bridge/egress", "bridge/ingress")
}

func (k *fakeKernel) AttachUplink(ifindex int) error {
	return k.attach(ifindex, "tcx/egress", "tcx/ingress")
}

func (k *fakeKernel) AttachSockets() error {
	return k.attach(0, "cgroup/connect4", "cgroup/post_bind4")
}

func (k *fakeKernel) Detach(ifindex int) error {
	if err := k.step("detach"); err != nil {
		return err
	}
	k.busy.Lock()
	defer k.busy.Unlock()
	delete(k.programs, ifindex)
	return nil
}

// Attached leaves out devices that are gone, as the kernel does.
func (k *fakeKernel) Attached() ([]loader.Attachment, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	var out []loader.Attachment
	for ifindex, hooks := range k.programs {
		for _, hook := range hooks {
			if ifindex == 0 || !k.isGone(ifindex) {
				out = append(out, loader.Attachment{Hook: hook, Ifindex: ifindex, Program: fakeProgram(hook)})
			}
		}
	}
	return out, nil
}

func fakeProgram(hook string) string {
	switch hook {
	case "bridge/ingress":
		return "ebnet_from_br"
	case "bridge/egress":
		return "ebnet_to_br"
	}
	return "ebnet_" + hook
}

func (k *fakeKernel) Close() error { return nil }

// fakeProcesses are processes that a test ends.
type fakeProcesses struct {
	ended map[int]chan struct{}
}

func (p *fakeProcesses) Watch(pid int, _ uint64) (<-chan struct{}, func(), error) {
	if p.ended[pid] == nil {
		p.ended[pid] = make(chan struct{})
	}
	return p.ended[pid], func() {}, nil
}

func (p *fakeProcesses) Close() error { return nil }

func (k *fakeKernel) isGone(ifindex int) bool { return strings.HasPrefix(k.name(ifindex), "gone-") }
