// Package control is the agent: it knows which networks, sandboxes and
// published ports should exist, and makes the kernel so.
//
// What people asked for is in the store, written before the kernel is. What the
// kernel holds is read back from the kernel. Agent.reconcile is the one way in
// which the second is made to match the first; the operations behind the HTTP
// API do the same steps for their own objects only, so that they are fast.
package control

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebnet/ebnet/control/engine/docker"
	"github.com/ebnet/ebnet/control/firewall"
	"github.com/ebnet/ebnet/control/hostports"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/owner"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

// Agent carries out what people ask for, on the network namespace that it was
// started in. Its exported methods may be called from several goroutines.
type Agent struct {
	opt Options
	log *slog.Logger

	store    Store
	links    Links
	programs Programs
	fwd      Forwarder
	dp       *datapath.Datapath  // what fwd is outside of tests
	registry *hostports.Registry // guarded by ops
	owners   *owners

	// probe fails if a process of the host holds one of the ports.
	probe func(proto string, host netip.Addr, from, to uint16) error
	// endProcesses ends all processes that a list holds.
	endProcesses endProcesses
	// purgePrograms removes all that loaders put into the kernel.
	purgePrograms func(bpffs string) error
	// firewall tells whether the host's own refuses new connections by default.
	firewall func() (denies bool, by string, err error)
	// dockerRules tells whether Docker's own address translation is there.
	dockerRules func() (bool, error)
	boot        string // names this run of the kernel

	ready    atomic.Bool   // reconciled once
	stopping atomic.Bool   // and will not be ready again
	kick     chan struct{} // asks for a reconcile
	purged   chan bool     // ends Run after a purge; true: delete the store, too

	// ops serialises what changes the desired state or the kernel.
	ops     sync.Mutex
	urgent  atomic.Int32 // who waits for ops with what a reconcile gives way to
	gaveWay time.Time    // when a reconcile first did, since one was whole; guarded by ops
	loaded  bool         // guarded by ops: what is wanted is known
	closed  bool         // guarded by ops: the kernel is not to be touched any more
	adopted adopted      // guarded by ops
	busy    atomic.Int64 // when a container last came or went, as Unix time in ns
	gate    gate
	lane    *lane
	news    chan struct{} // the engine has something that is to be stored
	engine  Engine        // nil: none
	// mu guards what follows. It is written with both held, so that the holder
	// of either may read; and held for moments only, so that reading never waits
	// for the kernel.
	mu       sync.RWMutex
	want     desired
	live     live
	problems []string
	repairs  map[string]uint64 // by kind
	runs     ReconcileStats

	pools  map[string]pools // by network; guarded by ops
	hooked map[int]bool     // devices that have a program, by ifindex; guarded by ops
	unsure map[string]bool  // sandboxes that the next reconcile is to look into; guarded by ops
	random *rand.Rand       // guarded by ops
}

// live is what the last look at the kernel found of what is wanted.
type live struct {
	uplinks   []uplink
	endpoints map[string]liveEndpoint     // by host-side interface
	publishes map[store.PublishKey]uint32 // slots
	bridges   map[string]int              // ifindex by network
	fib       netdev.FIBLink
	sockets   int                 // hooks of the cgroup that are ours
	mtu       int                 // bytes, of networks that name none
	addrs     map[netip.Addr]bool // the host's own
	rules     bool                // an engine's own address translation is there
	noIPv6    error               // why the host can have no IPv6 addresses; nil: it can
}

type liveEndpoint struct {
	sandbox, network string
	ifindex          int
	slot             uint32
	entry            datapath.Endpoint // of an engine's container: as it was written
}

// New makes an agent that Run brings to life.
func New(o Options) *Agent {
	o = o.withDefaults()
	a := &Agent{
		opt:           o,
		log:           o.Log,
		kick:          make(chan struct{}, 1),
		purged:        make(chan bool, 1),
		repairs:       map[string]uint64{},
		pools:         map[string]pools{},
		hooked:        map[int]bool{},
		unsure:        map[string]bool{},
		random:        rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		live:          newLive(),
		links:         hostLinks{},
		firewall:      firewall.Denies,
		dockerRules:   firewall.DockerRules,
		adopted:       adopted{guests: map[int]guest{}},
		lane:          newLane(),
		news:          make(chan struct{}, 1),
		purgePrograms: loader.Purge,
		registry:      hostports.New(),
		endProcesses: func(list func() ([]int, error)) error {
			return owner.KillAll(list, 0)
		},
	}
	if o.Docker != "" {
		a.engine = docker.New(docker.Options{Socket: o.Docker, Log: o.Log})
	}
	return a
}

func newLive() live {
	return live{
		endpoints: map[string]liveEndpoint{},
		publishes: map[store.PublishKey]uint32{},
		bridges:   map[string]int{},
		addrs:     map[netip.Addr]bool{},
	}
}

// wake asks for a reconcile soon.
func (a *Agent) wake() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}
