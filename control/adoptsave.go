package control

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/ebnet/ebnet/control/store"
)

// save writes what the engine has to the store, so that an agent which starts while
// the engine is away keeps all of it. The caller holds a.ops.
func (a *Agent) save() error {
	if !a.adopted.unsaved {
		return nil
	}
	state, err := a.store.State()
	if err != nil {
		return err
	}
	c := diffDesired(newDesired(state), a.want)
	if !c.empty() {
		if err := a.store.Update(c.write); err != nil {
			return err
		}
	}
	a.adopted.unsaved = false
	return nil
}

// keepSaved saves what the engine has soon after it has come, until done: reconciles may
// have to wait longer than that may be unknown to the next agent.
func (a *Agent) keepSaved(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-a.news:
		}
		began := time.Now()
		a.saveSoon()
		select {
		case <-done:
			return
		case <-time.After(10 * time.Since(began)): // containers have their turn, too
		}
	}
}

func (a *Agent) saveSoon() {
	a.ops.Lock()
	defer a.ops.Unlock()
	if a.closed || !a.loaded {
		return
	}
	if err := a.save(); err != nil {
		a.log.Error("not stored what Docker has, reconciling", "error", err)
	}
}

// diffDesired is the change that makes one state of another.
func diffDesired(have, want desired) change {
	var c change
	c.putNetworks, c.delNetworks = diffMaps(have.networks, want.networks)
	c.putSandboxes, c.delSandboxes = diffMaps(have.sandboxes, want.sandboxes)
	c.putPublishes, c.delPublishes = diffMaps(have.publishes, want.publishes)
	c.putLists, c.delLists = diffMaps(have.lists, want.lists)
	return c
}

// diffMaps compares values as the store keeps them.
func diffMaps[K comparable, V any](have, want map[K]V) (put []V, del []K) {
	for key, w := range want {
		if h, ok := have[key]; !ok || !sameJSON(h, w) {
			put = append(put, w)
		}
	}
	for key := range have {
		if _, ok := want[key]; !ok {
			del = append(del, key)
		}
	}
	return put, del
}

func sameJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func (c change) empty() bool {
	return len(c.putNetworks)+len(c.putSandboxes)+len(c.putPublishes)+len(c.putLists) == 0 &&
		len(c.delNetworks)+len(c.delSandboxes)+len(c.delPublishes)+len(c.delLists) == 0
}

// withoutForeign is a state without what engines have and what hangs on that: an
// agent that does not work with the engine leaves it in the store as it is.
func withoutForeign(s store.State) store.State {
	var out store.State
	mine := map[string]bool{}
	for _, n := range s.Networks {
		if !foreign(n.Owner) {
			out.Networks = append(out.Networks, n)
		}
	}
	for _, sb := range s.Sandboxes {
		if mine[sb.Name] = !foreign(sb.Owner); mine[sb.Name] {
			out.Sandboxes = append(out.Sandboxes, sb)
		}
	}
	for _, p := range s.Publishes {
		if mine[p.Sandbox] {
			out.Publishes = append(out.Publishes, p)
		}
	}
	return out
}

// settleIndexes gives engines' networks other numbers where ebnet's own have taken
// them meanwhile.
func settleIndexes(all []store.Network) {
	taken := map[uint16]bool{0: true}
	for _, n := range all {
		taken[n.Index] = taken[n.Index] || !foreign(n.Owner)
	}
	for i, n := range all {
		if foreign(n.Owner) && taken[n.Index] {
			all[i].Index = lowestFree(taken)
		}
		taken[all[i].Index] = true
	}
}
