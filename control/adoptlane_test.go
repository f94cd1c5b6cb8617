package control

import (
	"errors"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
)

// TestArrivalsDoNotWait: a container has its program and its entry whoever holds ops,
// and what is under way meanwhile leaves them alone.
func TestArrivalsDoNotWait(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	a := w.agent()
	old := w.links["veth1234567"]
	link := w.plug("vethfedcba9", "docker0", "/fake/docker-next", "eth0", "172.17.0.2/16")
	w.lose(old.Name)
	early := link
	early.Carrier = false
	a.ops.Lock()
	a.linkComes(netdev.LinkEvent{Link: early})
	a.linkComes(netdev.LinkEvent{Link: link}) // with an address that another has
	if _, there := w.endpoints[uint32(link.Index)]; there {
		t.Error("it has taken another's address")
	}
	a.linkComes(netdev.LinkEvent{Link: old, Gone: true})
	if _, there := w.endpoints[uint32(old.Index)]; there {
		t.Error("who is gone has an entry")
	}
	a.linkComes(netdev.LinkEvent{Link: link})
	if ep := w.endpoints[uint32(link.Index)]; ep.Addr4.String() != "172.17.0.2" {
		t.Errorf("endpoint %+v", ep)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if arr, _ := a.lane.arrived(link.Index); arr.attached {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it has no program")
		}
	}
	a.ops.Unlock()
	p := &pass{Agent: a}
	if _, err := p.observe(); err != nil {
		t.Fatal(err)
	}
	delete(p.have.links, link.Name) // as if it had come while the kernel was read
	p.leftovers()
	if len(w.endpoints) != 1 || len(w.programs[link.Index]) != 1 {
		t.Errorf("taken away: endpoints %v, programs %v", w.endpoints, w.programs)
	}
	w.arm(0, false)
	for _, e := range a.lane.pop() {
		a.linkEvent(e)
	}
	for _, call := range w.calls {
		if call == "attach" {
			t.Errorf("did %q", w.calls)
		}
	}
	if ep := a.live.endpoints[link.Name]; ep.sandbox != "docker/web" || len(a.adopted.guests) != 1 || !a.hooked[link.Index] || a.hooked[old.Index] {
		t.Errorf("knows %+v of %+v", ep, a.adopted.guests)
	}
	delete(w.programs, link.Index)
	a.reconcile()
	if len(w.programs[link.Index]) != 1 {
		t.Error("a lost program is not repaired")
	}
	if err := a.shut(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	late := w.plug("veth0000001", "docker0", "/fake/docker-late", "eth0", "172.17.0.9/16")
	a.linkComes(netdev.LinkEvent{Link: late})
	if len(w.endpoints) != 1 {
		t.Error("something is written after the end")
	}
}

// TestSavedSoon: what Docker has is in the store before a reconcile.
func TestSavedSoon(t *testing.T) {
	w := newWorld(t)
	w.webWorld()
	a := w.agent()
	a.Adopt(w.dockerWorld(container("late", "bridge 172.17.0.3/16")))
	a.saveSoon()
	state, err := a.store.State()
	if err != nil || len(state.Sandboxes) != 1 || state.Sandboxes[0].Name != "docker/late" || a.adopted.unsaved {
		t.Errorf("stored %+v, %v", state.Sandboxes, err)
	}
}
