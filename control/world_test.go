package control

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/hostports"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// world is a host on which agents come and go.
type world struct {
	*fakeKernel
	t      *testing.T
	dir    string
	store  *store.Store
	procs  *fakeProcesses
	boot   string
	prefix string
	held   map[uint16]bool // ports that processes of the host hold
	docker *fakeDocker     // nil: agents do without
	last   *Agent
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		fakeKernel: newFakeKernel(), t: t, dir: t.TempDir(),
		boot: "this boot", procs: &fakeProcesses{ended: map[int]chan struct{}{}}, held: map[uint16]bool{},
	}
	var err error
	if w.store, err = store.Open(filepath.Join(w.dir, "ebnet.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	resolv := "nameserver 192.0.2.53\n"
	if err := os.WriteFile(filepath.Join(w.dir, "resolv.conf"), []byte(resolv), 0o644); err != nil {
		t.Fatal(err)
	}
	return w
}

// agent is a new agent on the host, after its start. The one before is gone.
func (w *world) agent() *Agent {
	w.t.Helper()
	if w.last != nil {
		w.last.ops.Lock()
		w.last.closed = true
		w.last.ops.Unlock()
	}
	for ifindex := range w.programs {
		if ifindex != 0 && w.isGone(ifindex) {
			delete(w.programs, ifindex) // as loader.Open does
		}
	}
	a := New(Options{
		Prefix: w.prefix, StateDir: w.dir, RunDir: w.dir, NetnsEtc: filepath.Join(w.dir, "netns"),
		ResolvConf: []string{filepath.Join(w.dir, "resolv.conf")},
		getenv:     func(string) string { return "" },
	})
	a.store = fakeStore{w.store, w.injector}
	a.links, a.programs, a.fwd = w, w, w
	a.boot = w.boot
	a.random = rand.New(rand.NewPCG(1, 2))
	a.owners = newOwners(w.procs, a.ownerEnded)
	a.firewall = func() (bool, string, error) { return false, "", nil }
	a.purgePrograms = func(string) error { clear(w.programs); return nil }
	a.endProcesses = func(list func() ([]int, error)) error {
		if err := w.step("end processes"); err != nil {
			return err
		}
		_, err := list()
		return err
	}
	a.probe = func(proto string, host netip.Addr, from, to uint16) error {
		for p := int(from); p <= int(to); p++ {
			if w.held[uint16(p)] {
				return &hostports.InUseError{Proto: proto, Addr: host, Port: uint16(p), PID: 12, Process: "busy"}
			}
		}
		return nil
	}
	if w.docker != nil {
		a.engine = w.docker
		a.dockerRules = func() (bool, error) { return w.docker.rules, nil }
		if w.docker.world != nil {
			a.Adopt(*w.docker.world)
		}
	}
	if err := a.start(); err != nil {
		w.t.Fatal(err)
	}
	w.last = a
	return a
}

// all is everything there is to compare: the kernel, the store and the files.
func (w *world) all() string {
	w.t.Helper()
	state, err := w.store.State()
	if err != nil {
		w.t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString(w.String())
	for _, n := range state.Networks {
		fmt.Fprint(&out, "\nnetwork ", n.Name, n.Driver, n.Index, subnets(n))
	}
	for _, sb := range state.Sandboxes {
		fmt.Fprint(&out, "\nsandbox ", sb.Name)
		for _, at := range sb.Attachments {
			fmt.Fprint(&out, " ", at.Network, at.Interface, at.Addresses)
		}
	}
	for _, p := range state.Publishes {
		fmt.Fprint(&out, "\npublish ", p.Key(), p.Network, p.Allow)
		if foreign(p.Owner) || strings.Contains(p.Sandbox, "/") {
			fmt.Fprint(&out, " ", p.Sandbox, " of ", p.Owner)
		}
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "netns", "*", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	out.WriteString("\nfiles " + strings.Join(files, " "))
	return strings.ReplaceAll(out.String(), w.dir, "DIR")
}

func spec(text string) api.PublishSpec {
	s, err := api.ParsePublish(text)
	if err != nil {
		panic(err)
	}
	return s
}

func hostSpec(text string) api.HostSpec {
	s, err := api.ParseHostSpec(text)
	if err != nil {
		panic(err)
	}
	return s
}

// reboot leaves the machine's own devices, and the store.
func (w *world) reboot() {
	fresh := newFakeKernel()
	w.links, w.inside, w.netns, w.programs = fresh.links, fresh.inside, fresh.netns, fresh.programs
	w.endpoints, w.networks, w.publishes = fresh.endpoints, fresh.networks, fresh.publishes
	w.reserved, w.allowed, w.addrs = fresh.reserved, fresh.allowed, nil
}

func (w *world) exists(a *Agent, sandbox string) bool {
	_, err := a.Sandbox(context.Background(), sandbox)
	return err == nil
}

func vethOf(name string) netdev.Veth { return netdev.Veth{Host: name, Netns: "/fake/other"} }
