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
	a.stopping.Store(true)
	a.ready.Store(false)
	a.closed = true
	a.gate.close()
	err := a.programs.Close()
	err = errors.Join(err, purger{a.opt, a.links, a.endProcesses, a.purgePrograms}.run(a.want, a.store))
	a.purged <- purge.All
	return err
}

// Purge does without an agent what the agent's own does. It refuses while one
// works with the same state.
func Purge(o Options, all bool) error {
	o = o.withDefaults()
	path := filepath.Join(o.StateDir, storeName)
	p := purger{o, hostLinks{}, func(list func() ([]int, error)) error { return owner.KillAll(list, 0) }, loader.Purge}
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
	opt      Options
	links    Links
	end      endProcesses
	programs func(bpffs string) error // loader.Purge
}

// run goes on past failures, so that one thing that stays does not keep the rest.
// Links go before programs: no sandbox is ever connected without one.
func (p purger) run(want desired, st Store) error {
	var errs []error
	for _, sb := range want.sandboxes {
		if !onHost(sb) && !foreign(sb.Owner) {
			errs = append(errs, removeNetns(p.links, p.end, p.opt.NetnsEtc, netnsName(sb)))
		}
	}
	errs = append(errs, p.deleteVeths(want), p.programs(p.opt.BPFFS))
	errs = append(errs, p.deleteBridges(want))
	errs = append(errs, p.links.DeleteLink(fibLink))
	if st != nil {
		_, err := syncReservedPorts(st, p.links, netdev.PortSet{})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	return nil
}

// deleteVeths removes the sandboxes' links. The kernel does so by itself, many at
// a time, where it has just lost their namespaces; one by one they take long.
func (p purger) deleteVeths(want desired) error {
	const (
		pause    = 20 * time.Millisecond
		patience = 5 * time.Second
	)
	leaving := map[string]bool{}
	for _, sb := range want.sandboxes {
		for _, at := range bridged(sb) {
			leaving[at.HostInterface] = true
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		links, err := p.links.Links()
		if err != nil {
			return err
		}
		var errs []error
		waiting := false
		for _, l := range links {
			switch {
			case l.Kind != "veth" || !isHostInterface(l.Name):
			case leaving[l.Name] && time.Now().Before(deadline):
				waiting = true
			default:
				errs = append(errs, p.links.DeleteLink(l.Name))
			}
		}
		if !waiting || errors.Join(errs...) != nil {
			return errors.Join(errs...)
		}
	}
}

// deleteBridges removes the networks' bridges, and those of networks of which no
// store tells. Those that were there before ebnet lose what ebnet has added.
func (p purger) deleteBridges(want desired) error {
	links, err := p.links.Links()
	if err != nil {
		return err
	}
	byName := map[string]netdev.LinkInfo{}
	for _, l := range links {
		byName[l.Name] = l
	}
	var errs []error
	for _, n := range want.networks {
		errs = append(errs, removeBridge(p.links, n))
	}
	for _, name := range strayBridges(byName, want.networks) {
		errs = append(errs, p.links.DeleteLink(name))
	}
	return errors.Join(errs...)
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
