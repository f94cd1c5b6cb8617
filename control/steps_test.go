package control

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// TestFailureAtEachStep makes each change that an operation makes fail, one after
// the other. Then all is as before: at once, or for removals, which cannot be
// taken back, after the reconcile that they ask for.
func TestFailureAtEachStep(t *testing.T) {
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			for at := 1; ; at++ {
				w := newWorld(t)
				a := w.agent()
				if err := op.before(a); err != nil {
					t.Fatal(err)
				}
				before, taken := w.all(), takenNow(a)
				w.arm(at, false)
				err := op.do(a)
				steps := slices.Clone(w.calls)
				w.arm(0, false)
				if err == nil && len(steps) >= at && slices.Contains(steps[:at], "reserved ports") && op.removal {
					// The ports are no longer published; that they are still
					// reserved is left to a reconcile.
					if len(a.kick) == 0 {
						t.Error("no reconcile asked for")
					}
					continue
				}
				if err == nil {
					if at == 1 || len(steps) >= at {
						t.Fatalf("failure at step %d of %q went unnoticed", at, steps)
					}
					return
				}
				if !errors.Is(err, errInjected) {
					t.Fatalf("step %d: error %v does not tell the cause", at, err)
				}
				if op.removal {
					if len(a.kick) == 0 {
						t.Errorf("step %d (%s): no reconcile asked for", at, steps[at-1])
					}
					a.reconcile()
				}
				if after := w.all(); after != before {
					t.Errorf("failure at step %d (%s) left something:\n%s\nbefore:\n%s", at, steps[at-1], after, before)
				}
				if got := takenNow(a); got != taken {
					t.Errorf("failure at step %d (%s): %s taken, before %s", at, steps[at-1], got, taken)
				}
				if err := op.do(a); err != nil {
					t.Errorf("after failure at step %d (%s) it does not work any more: %v", at, steps[at-1], err)
				}
				w.store.Close()
			}
		})
	}
}

// takenNow tells what the agent has given out.
func takenNow(a *Agent) string {
	addrs := 0
	for network := range a.pools {
		addrs += taken(a, network)
	}
	return fmt.Sprintf("%d networks with %d addresses, and %d ports", len(a.pools), addrs, a.registry.Count())
}

// taken counts the addresses that a network has given out.
func taken(a *Agent, network string) (n int) {
	for _, pool := range a.pools[network] {
		n += pool.Taken()
	}
	return n
}

// TestDeathAtEachStep kills the agent at each change that an operation makes. The
// next agent makes all as before the operation or as after it.
func TestDeathAtEachStep(t *testing.T) {
	for name, op := range operations() {
		t.Run(name, func(t *testing.T) {
			undisturbed := newWorld(t)
			a := undisturbed.agent()
			if err := errors.Join(op.before(a), op.do(a)); err != nil {
				t.Fatal(err)
			}
			after := undisturbed.all()
			for at := 1; ; at++ {
				w := newWorld(t)
				first := w.agent()
				if err := op.before(first); err != nil {
					t.Fatal(err)
				}
				before := w.all()
				w.arm(at, true)
				_ = op.do(first) // nobody is there to see its answer
				steps := slices.Clone(w.calls)
				w.arm(0, false)
				next := w.agent()
				got := w.all()
				w.store.Close()
				if len(steps) < at {
					return
				}
				if len(next.problems) > 0 {
					t.Errorf("death at step %d (%s): problems %q", at, steps[at-1], next.problems)
				}
				if got != before && got != after {
					t.Errorf("death at step %d (%s): neither before nor after:\n%s\nbefore:\n%s\nafter:\n%s", at, steps[at-1], got, before, after)
				}
			}
		})
	}
}
