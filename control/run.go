package control

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/ebnet/ebnet/control/hostports"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/owner"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

const (
	storeName = "ebnet.db"
	// stopWait is how long requests under way may take when the agent stops; the
	// whole of it has to be over within five seconds.
	stopWait   = 2 * time.Second
	lockWait   = 1 * time.Second
	sweepEvery = 10 * time.Second
)

// Run is the agent's life: it takes over what an earlier agent left, makes the
// kernel as it should be, and serves until the context ends or a purge. It
// leaves networks and published ports running unless they were purged.
func (a *Agent) Run(ctx context.Context) (err error) {
	var closers undo // in reverse, whatever happens
	defer func() { err = errors.Join(err, closers.run()) }()
	if err := a.open(&closers); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	socket, metrics, err := a.listen(&closers)
	if err != nil {
		return err
	}
	servers, failed := a.serve(socket, metrics)
	changed, err := netdev.Watch(ctx)
	if err != nil {
		return errors.Join(err, servers.stop())
	}
	if err := a.watchLinks(ctx); err != nil {
		return errors.Join(err, servers.stop())
	}
	a.follow(ctx)
	if err := a.start(); err != nil {
		return errors.Join(err, servers.stop())
	}
	done := make(chan struct{})
	go func() { defer close(done); a.keep(ctx.Done(), changed) }()
	go a.guard(ctx.Done(), guardEvery)
	go a.sweep(ctx)
	go a.keepSaved(ctx.Done())
	go a.reassure(ctx)

	var purged, all bool
	select {
	case <-ctx.Done():
	case err = <-failed:
	case all = <-a.purged:
		purged = true
	}
	a.notify("STOPPING=1")
	stop()
	err = errors.Join(err, servers.stop())
	select {
	case <-done:
	case <-time.After(lockWait):
	}
	if purged {
		a.log.Info("purged", "store", map[bool]string{true: "deleted", false: "kept"}[all])
		closers.push(func() error { return a.forgetFiles(all) })
		return err
	}
	a.log.Info(`stopped; networks and published ports stay; "ebnet purge" removes them`)
	return err
}

// open takes the state, the network namespace and the kernel's objects.
func (a *Agent) open(closers *undo) error {
	st, err := store.Open(filepath.Join(a.opt.StateDir, storeName))
	if err != nil {
		return err
	}
	a.store = st
	closers.push(st.Close)
	lock, err := lockNamespace()
	if err != nil {
		return err
	}
	if lock != nil {
		closers.push(lock.Close)
	}
	if a.boot, err = owner.BootID(); err != nil {
		return err
	}
	watcher, err := owner.NewWatcher()
	if err != nil {
		return err
	}
	a.owners = newOwners(watcher, a.ownerEnded)
	closers.push(a.owners.close)
	cookie, err := netdev.Cookie()
	if err != nil {
		return err
	}
	programs, err := loader.Open(loader.Config{Dir: a.opt.BPFFS, NetnsCookie: cookie, Attach: a.opt.Attach})
	if err != nil {
		return err
	}
	a.programs = programs
	closers.push(a.shut)
	if a.dp, err = datapath.Open(programs.Maps(), programs.SweepProgram()); err != nil {
		return err
	}
	a.fwd = a.dp
	return nil
}

// shut lets go of the kernel's objects, once nobody uses them any more. An
// operation that hangs must not keep the agent from ending; the next agent
// repairs what it leaves.
func (a *Agent) shut() error {
	locked := make(chan struct{})
	go func() { a.ops.Lock(); close(locked) }()
	select {
	case <-locked:
		defer a.ops.Unlock()
	case <-time.After(lockWait):
		a.log.Warn("stopped in the middle of an operation")
		return nil
	}
	if a.closed {
		return nil
	}
	a.closed = true
	a.gate.close()
	return errors.Join(a.save(), a.programs.Close())
}

// start reads what is wanted and makes the kernel so. Then the agent is ready.
func (a *Agent) start() error {
	a.ops.Lock()
	err := a.load()
	a.ops.Unlock()
	if err != nil {
		return err
	}
	a.reconcile()
	a.ready.Store(true)
	a.mu.RLock()
	for _, problem := range a.problems {
		a.log.Warn("problem", "what", problem)
	}
	sandboxes := a.want.sandboxList()
	a.log.Info("ready", "socket", a.opt.socket(), "networks", len(a.want.networks),
		"sandboxes", len(a.want.sandboxes), "publishes", len(a.want.publishes), "problems", len(a.problems))
	a.mu.RUnlock()
	for _, sb := range sandboxes {
		a.watchOwner(sb)
	}
	a.notify("READY=1")
	return nil
}

// load reads the store into memory and sets up what is derived from it.
func (a *Agent) load() error {
	state, err := a.store.State()
	if err != nil {
		return err
	}
	if a.engine == nil {
		state = withoutForeign(state)
	}
	settleIndexes(state.Networks)
	a.adopted.unnamed, a.adopted.unsaved = true, moveLists(&state)
	a.mu.Lock()
	a.want = newDesired(state)
	a.mu.Unlock()
	if err := a.dropAbandoned(); err != nil {
		return err
	}
	if err := a.ensureDefault(); err != nil {
		return err
	}
	if err := a.openPools(); err != nil {
		return err
	}
	if a.probe == nil {
		a.probe = hostports.Prober{Published: a.registry.Published}.Probe
	}
	if err := a.register(); err != nil {
		return fmt.Errorf("read published ports: %w", err)
	}
	a.loaded = true
	a.adopt()
	return nil
}

// register takes the ports that are published. Those of engines come last: ebnet may
// have published one of them itself since an agent has followed the engine.
func (a *Agent) register() error {
	all := a.want.publishList()
	slices.SortStableFunc(all, func(x, y store.Publish) int { return a.rank(x) - a.rank(y) })
	for _, p := range all {
		err := a.registry.Reserve(registryName(p), p.Proto, p.HostIP, p.HostPort, p.HostPortEnd)
		if err != nil && a.rank(p) > 0 {
			a.log.Warn("not published any more", "ports", hostSide(p), "sandbox", p.Sandbox, "error", err)
			a.mu.Lock()
			delete(a.want.publishes, p.Key())
			a.mu.Unlock()
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rank orders publishes by how much ebnet has to say in them.
func (a *Agent) rank(p store.Publish) int {
	switch {
	case foreign(p.Owner):
		return 2
	case foreign(a.want.sandboxes[p.Sandbox].Owner):
		return 1
	}
	return 0
}

// sweep ages the flows until the context ends.
func (a *Agent) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.age()
	}
}

// age ends the flows that have aged. A million of them take longer than an operation
// may wait, so Agent.ops is not held.
func (a *Agent) age() {
	defer a.gate.leave()
	if !a.gate.enter() {
		return
	}
	if _, err := a.fwd.Sweep(); err != nil {
		a.log.Error("flows not aged", "error", err)
	}
}

// reassure tells systemd's watchdog that the agent lives, as long as it is
// ready and can still get at its own state.
func (a *Agent) reassure(ctx context.Context) {
	n := newNotifier(a.opt.getenv)
	if n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if view := a.MetricsView(); view.Ready {
			a.notify("WATCHDOG=1")
		}
	}
}

func (a *Agent) notify(state string) {
	if err := newNotifier(a.opt.getenv).send(state); err != nil {
		a.log.Warn("systemd not told", "state", state, "error", err)
	}
}
