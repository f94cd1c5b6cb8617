package control

import (
	"errors"
	"sync"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/owner"
	"github.com/ebnet/ebnet/control/store"
)

// Processes is what the agent needs to know of processes whose end removes a sandbox.
type Processes interface {
	Watch(pid int, start uint64) (ended <-chan struct{}, stop func(), err error)
	Close() error
}

// owners watches the processes that sandboxes belong to.
type owners struct {
	processes Processes
	ended     func(sandbox, id string)

	mu   sync.Mutex
	stop map[string]func() // by sandbox
}

func newOwners(p Processes, ended func(sandbox, id string)) *owners {
	return &owners{processes: p, ended: ended, stop: map[string]func(){}}
}

// watch begins to watch a sandbox's process, if it has one. That it has ended
// already is found out at once.
func (o *owners) watch(sb store.Sandbox) error {
	if sb.Process == nil {
		return nil
	}
	ended, stop, err := o.processes.Watch(sb.Process.PID, sb.Process.Start)
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	o.mu.Lock()
	o.stop[sb.Name] = sync.OnceFunc(func() { stop(); close(stopped) })
	o.mu.Unlock()
	go func() {
		select {
		case <-ended:
			o.ended(sb.Name, sb.ID)
		case <-stopped:
		}
	}()
	return nil
}

// gone says whether a sandbox has a process that has ended. Those of an earlier
// boot have, whoever has their pid now.
func (o *owners) gone(sb store.Sandbox, boot string) (bool, error) {
	if sb.Process == nil {
		return false, nil
	}
	if sb.Process.Boot != boot {
		return true, nil
	}
	ended, stop, err := o.processes.Watch(sb.Process.PID, sb.Process.Start)
	if err != nil {
		return false, err
	}
	defer stop()
	select {
	case <-ended:
		return true, nil
	default:
		return false, nil
	}
}

// forget ends the watch of a sandbox that is gone.
func (o *owners) forget(sandbox string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if stop, ok := o.stop[sandbox]; ok {
		stop()
		delete(o.stop, sandbox)
	}
}

// close ends all watches.
func (o *owners) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, stop := range o.stop {
		stop()
		delete(o.stop, name)
	}
	return o.processes.Close()
}

// identify names a running process for good.
func (a *Agent) identify(pid int) (*store.Process, error) {
	start, err := owner.StartTime(pid)
	if errors.Is(err, owner.ErrGone) {
		return nil, api.Errorf(api.CodeUnprocessable, "bind sandbox to process %d: there is no such process in the agent's PID namespace", pid)
	}
	if err != nil {
		return nil, err
	}
	return &store.Process{PID: pid, Start: start, Boot: a.boot}, nil
}

// watchOwner watches the process of a sandbox that has just come.
func (a *Agent) watchOwner(sb store.Sandbox) {
	if err := a.owners.watch(sb); err != nil {
		a.log.Error("owner not watched, the sandbox stays until it is removed", "sandbox", sb.Name, "error", err)
	}
}

// dropAbandoned forgets the sandboxes whose processes ended while no agent ran,
// before they are made again. Links and entries that they have left are nobody's
// then, and go with the first reconcile. What cannot be dropped is made again, and
// removed like any other whose owner ends.
func (a *Agent) dropAbandoned() error {
	attached, err := a.programs.Attached()
	if err != nil {
		return err
	}
	a.noteHooked(attached)
	for _, sb := range a.want.sandboxList() {
		gone, err := a.owners.gone(sb, a.boot)
		if err == nil && gone {
			err = a.abandon(sb)
		}
		if err != nil {
			a.log.Error("abandoned sandbox stays for now", "sandbox", sb.Name, "error", err)
		}
	}
	return nil
}

func (a *Agent) abandon(sb store.Sandbox) error {
	a.log.Info("owner ended, removing its sandbox", "sandbox", sb.Name)
	if !onHost(sb) {
		if err := a.removeNetns(netnsName(sb)); err != nil {
			return err
		}
	}
	c := change{delSandboxes: []string{sb.Name}}
	for _, p := range a.want.published(sb.Name) {
		c.delPublishes = append(c.delPublishes, p.Key())
	}
	return a.commit(c)
}

// ownerEnded removes a sandbox whose process has ended, unless its name has
// passed to another one meanwhile.
func (a *Agent) ownerEnded(name, id string) {
	a.ops.Lock()
	defer a.ops.Unlock()
	sb, ok := a.want.sandboxes[name]
	if !ok || sb.ID != id || a.closed {
		return
	}
	a.log.Info("owner ended, removing its sandbox", "sandbox", name)
	if err := a.removeSandbox(sb); err != nil {
		a.log.Error("sandbox of an ended process stays", "sandbox", name, "error", err)
	}
}
