package control

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// TestReconcileBesideOperations: what an operation does when a reconcile has just read
// what is published stays as the operation has left it, and is no repair; what nobody
// wants goes all the same.
func TestReconcileBesideOperations(t *testing.T) {
	unpublish := func(text string) func(*Agent) error {
		return func(a *Agent) error {
			_, err := a.Unpublish(context.Background(), hostSpec(text))
			return err
		}
	}
	more := publish(api.PublishCreate{Spec: spec("9000-9010:9000-9010")})
	again := publish(api.PublishCreate{Spec: spec("8080:80"), Sandbox: "web"})
	elsewhere := publish(api.PublishCreate{Spec: spec("8080:8080"), Sandbox: "web"})
	for name, op := range map[string]func(*Agent) error{
		"publish":               more,
		"unpublish":             unpublish("8080"),
		"publish again":         all(unpublish("8080"), again),
		"publish elsewhere":     all(unpublish("8080"), elsewhere),
		"publish and unpublish": all(more, unpublish("9000-9010")),
		"remove":                func(a *Agent) error { return a.RemoveSandbox(context.Background(), "web") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.agent()
			if err := createSandbox("web", nil, "8080:80", "7000:70")(a); err != nil {
				t.Fatal(err)
			}
			stray := w.publishes["0.0.0.0:7000/tcp"]
			stray.HostPort, stray.HostPortEnd, stray.Slot = 6000, 6000, 99
			w.publishes[stray.String()] = stray
			var after string
			w.afterRead = func() {
				w.afterRead = nil
				if err := op(a); err != nil {
					t.Error(err)
				}
				delete(w.publishes, stray.String())
				after = w.all()
				w.publishes[stray.String()] = stray
				w.arm(0, false)
			}
			a.reconcile()
			if got := w.all(); got != after {
				t.Errorf("not as the operation has left it:\n%s\nbut\n%s", after, got)
			}
			if !slices.Equal(w.calls, []string{"unpublish"}) || a.repairs["publish"] != 1 {
				t.Errorf("did %q, repaired %v", w.calls, a.repairs)
			}
			slots := map[string]uint32{}
			for key, slot := range a.live.publishes {
				slots[key.String()] = slot
			}
			written := map[string]uint32{}
			for _, p := range w.publishes {
				key := store.PublishKey{Proto: p.Proto.String(), HostIP: p.Host, HostPort: p.HostPort}
				written[key.String()] = p.Slot
			}
			if !maps.Equal(slots, written) {
				t.Errorf("knows slots %v, there are %v", slots, written)
			}
		})
	}
}

// TestReconcileGivesWayToOperations: who asks for an operation while a reconcile is under
// way does not wait for all of it, and the reconcile is made up for.
func TestReconcileGivesWayToOperations(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	if err := createSandbox("web", nil)(a); err != nil {
		t.Fatal(err)
	}
	for name, op := range map[string]func(*Agent) error{
		"publish":        publish(api.PublishCreate{Spec: spec("8080:80")}),
		"allow":          allow(api.AllowChange{Spec: hostSpec("8080"), Set: prefixes("192.0.2.0/24")}),
		"create network": createNetwork(apiBlue),
		"create":         createSandbox("db", nil),
		"unpublish": func(a *Agent) error {
			_, err := a.Unpublish(context.Background(), hostSpec("1234"))
			return err
		},
		"remove network": removeNetwork("red"),
		"connect":        connect("red", "web"),
		"disconnect":     disconnect("red", "web"),
		"remove":         func(a *Agent) error { return a.RemoveSandbox(context.Background(), "nobody") },
		"flush": func(a *Agent) error {
			_, err := a.FlushFlows(context.Background(), api.FlowsFlush{All: true})
			return err
		},
	} {
		a.ops.Lock() // as a reconcile has it
		done := make(chan struct{})
		go func() { defer close(done); _ = op(a) }()
		for deadline := time.Now().Add(10 * time.Second); a.urgent.Load() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s waits like a reconcile, or not at all", name)
			}
		}
		whole, err := (&pass{Agent: a}).observe()
		a.gaveWay = a.gaveWay.Add(-mostPatience)
		late, errLate := (&pass{Agent: a}).observe()
		if whole || !late || errors.Join(err, errLate) != nil {
			t.Errorf("%s: a reconcile went on %v, and later %v (%v, %v)", name, whole, late, err, errLate)
		}
		a.ops.Unlock()
		<-done
		a.reconcile()
	}
}

// TestAgingIsBesideOperations: flows are aged whoever holds ops, but not once the
// kernel's objects are closed.
func TestAgingIsBesideOperations(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	a.ops.Lock()
	a.age()
	a.ops.Unlock()
	if w.swept != 1 {
		t.Fatalf("aged %d times", w.swept)
	}
	if err := a.shut(); err != nil {
		t.Fatal(err)
	}
	read := 0
	w.afterRead = func() { read++ }
	a.age()
	a.reconcile()
	if w.swept != 1 || read != 0 {
		t.Errorf("used after it was closed: aged %d times, read %d times", w.swept, read)
	}
}
