package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/owner"
	"github.com/ebnet/ebnet/control/store"
	"github.com/ebnet/ebnet/loader"
)

// Purge removes all that ebnet put into the kernel and ends the agent. The store
// stays, and the next agent makes everything again, unless purge.All.
func (a *Agent) Purge(_ context.Context, purge api.Purge) error {
	a.ops.Lock()
	defer a.ops.Unlock()
	if a.closed {
		return api.Errorf(api.CodeNotReady, "purge: the agent is stopping already")
	}
	a.ready.Store(false)
	a.closed = true
	err := a.programs.Close()
	err = errors.Join(err, purger{a.opt, a.links, a.endProcesses}.run(a.want, a.store))
	a.purged <- purge.All
	return err
}

// Purge does without an agent what the agent's own does. It refuses while one
// works with the same state.
func Purge(o Options, all bool) error {
	o = o.withDefaults()
	path := filepath.Join(o.StateDir, storeName)
	p := purger{o, hostLinks{}, func(list func() ([]int, error)) error { return owner.KillAll(list, 0) }}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return p.run(newDesired(store.State{}), nil)
	}
	st, err := store.Open(path)
	if err != nil {
		return err
	}
	lock, err := lockNamespace()
	if err != nil {
		return errors.Join(err, st.Close())
	}
	state, err := st.State()
	if err == nil {
		err = p.run(newDesired(state), st)
	}
	if lock != nil {
		err = errors.Join(err, lock.Close())
	}
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	return (&Agent{opt: o}).forgetFiles(all)
}

// purger removes from the kernel what the store says is there, and what looks
// like ebnet's.
type purger struct {
	opt   Options
	links Links
	end   endProcesses
}

// run goes on past failures, so that one thing that stays does not keep the rest.
// Links go before programs: no sandbox is ever connected without one.
func (p purger) run(want desired, st Store) error {
	var errs []error
	for _, sb := range want.sandboxes {
		if !onHost(sb) {
			errs = append(errs, removeNetns(p.links, p.end, p.opt.NetnsEtc, p.opt.Prefix+sb.Name))
		}
	}
	errs = append(errs, p.deleteVeths(len(want.sandboxes) > 0), loader.Purge(p.opt.BPFFS))
	for _, n := range want.networks {
		if n.OwnsBridge {
			errs = append(errs, p.links.DeleteLink(n.Bridge))
		}
	}
	errs = append(errs, p.links.DeleteLink(fibLink))
	if st != nil {
		errs = append(errs, syncReservedPorts(st, p.links, netdev.PortSet{}))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

// deleteVeths removes the sandboxes' links. The kernel does so by itself, many at
// a time, where it has just lost their namespaces; one by one they take long.
func (p purger) deleteVeths(wait bool) error {
	const pause = 20 * time.Millisecond
	deadline := time.Now().Add(5 * time.Second)
	for {
		veths, err := p.veths()
		if err != nil || len(veths) == 0 {
			return err
		}
		if wait && time.Now().Before(deadline) {
			time.Sleep(pause)
			continue
		}
		var errs []error
		for _, name := range veths {
			errs = append(errs, p.links.DeleteLink(name))
		}
		return errors.Join(errs...)
	}
}

func (p purger) veths() ([]string, error) {
	links, err := p.links.Links()
	var names []string
	for _, l := range links {
		if l.Kind == "veth" && isHostInterface(l.Name) {
			names = append(names, l.Name)
		}
	}
	return names, err
}

// forgetFiles removes the folders that nothing is left in, and with all the store.
func (a *Agent) forgetFiles(all bool) error {
	_ = os.Remove(a.opt.socket())
	_ = os.Remove(a.opt.RunDir) // fails where somebody keeps files in it
	if !all {
		return nil
	}
	if err := os.Remove(filepath.Join(a.opt.StateDir, storeName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete store: %w", err)
	}
	_ = os.Remove(a.opt.StateDir)
	return nil
}
