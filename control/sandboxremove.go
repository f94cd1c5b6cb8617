package control

import (
	"context"
	"fmt"

	"github.com/ebnet/ebnet/control/store"
)

// RemoveSandbox ends what is published to a sandbox, its processes and flows,
// and removes it.
func (a *Agent) RemoveSandbox(_ context.Context, name string) error {
	a.hurry()
	defer a.ops.Unlock()
	sb, err := a.findSandbox(name)
	if err != nil {
		return err
	}
	if foreign(sb.Owner) {
		return fmt.Errorf("remove sandbox %s: %w", sb.Name, belongs(sb.Owner, "rm", shortName(sb.Name)))
	}
	return a.removeSandbox(sb)
}

// removeSandbox leaves the store for last: if anything fails before, or the
// agent dies, the sandbox is still wanted and a reconcile brings it back whole.
func (a *Agent) removeSandbox(sb store.Sandbox) error {
	published := a.want.published(sb.Name)
	err := a.dismantle(sb, published)
	if err == nil {
		err = a.commit(change{delSandboxes: []string{sb.Name}, delPublishes: keys(published)})
	}
	if err != nil {
		a.wake()
		return fmt.Errorf("remove sandbox %s: %w", sb.Name, err)
	}
	for _, p := range published {
		a.releasePorts(p)
	}
	for _, at := range bridged(sb) {
		a.pools[at.Network].release(at)
	}
	a.owners.forget(sb.Name)
	delete(a.unsure, sb.Name)
	a.log.Info("sandbox removed", "sandbox", sb.Name)
	a.releaseReservedPorts()
	return nil
}

// dismantle takes a sandbox out of the kernel: first what leads to it, then it.
// It stops at the first failure, for the less is gone the less comes back.
func (a *Agent) dismantle(sb store.Sandbox, published []store.Publish) error {
	for _, p := range published {
		if err := a.withdrawPublish(p, sb); err != nil {
			return err
		}
	}
	for _, at := range bridged(sb) {
		if err := a.removeEndpoint(at); err != nil {
			return err
		}
	}
	if onHost(sb) {
		return nil
	}
	return a.removeNetns(netnsName(sb))
}
