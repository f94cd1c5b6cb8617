package control

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/loader"
)

// What was taken away is brought back, with a hint or without.
func TestGuardHinted(t *testing.T) {
	guarded(t, time.Hour, func(w *world) { w.hints <- struct{}{} })
}

func TestGuardUnhinted(t *testing.T) { guarded(t, time.Millisecond, func(*world) {}) }

func guarded(t *testing.T, every time.Duration, hint func(w *world)) {
	w := newWorld(t)
	a := w.agent()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); a.guard(done, every) }()
	w.busy.Lock()
	w.unpinned = []string{"tcx-ingress-1"}
	w.busy.Unlock()
	hint(w)
	deadline := time.Now().Add(20 * time.Second)
	for a.MetricsView().Repairs["pin"] != 1 {
		if time.Now().After(deadline) {
			t.Fatal("not repaired")
		}
		time.Sleep(time.Millisecond) // leave the processor to others
	}
	close(done)
	<-ended
}

func TestLostShowsInStatus(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	w.unpinned = []string{"flows", "tcx-ingress-1", "tcx-ingress-2", "tcx-ingress-3"}
	status, err := a.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(status.Problems, "\n"); !strings.Contains(got, "4 pins are gone (flows, tcx-ingress-1, tcx-ingress-2, ...)") {
		t.Errorf("problems %q", got)
	}
	if len(a.kick) == 0 {
		t.Error("no reconcile asked for")
	}

	// What cannot be brought back stays a problem.
	w.arm(1, true)
	a.reconcile()
	if got := strings.Join(a.problems, "\n"); !strings.Contains(got, "restore pins: ") {
		t.Errorf("problems %q", got)
	}
	w.arm(0, false)
	a.reconcile()
	if status, err = a.Status(t.Context()); err != nil || len(status.Problems) > 0 {
		t.Errorf("problems %q, %v", status.Problems, err)
	}
	w.blind = errors.New("no sight")
	if _, err := a.Status(t.Context()); !errors.Is(err, w.blind) {
		t.Errorf("status of what cannot be seen: %v", err)
	}
}

// After a purge nothing is brought back.
func TestGuardOfClosedAgent(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	w.unpinned = []string{"flows"}
	if lost := a.lost(); len(lost.Pins) != 1 {
		t.Errorf("lost %v", lost)
	}
	a.ops.Lock()
	a.closed = true
	a.ops.Unlock()
	if lost := a.lost(); len(lost.Pins) != 0 {
		t.Errorf("closed: lost %v", lost)
	}
}

// What does not help is tried again at growing intervals, what is new at once.
func TestRetries(t *testing.T) {
	const limit = 5 * time.Second
	now := time.Unix(0, 0)
	var r retries
	one := loader.Lost{Pins: []string{"one"}}
	other := loader.Lost{Hooks: []string{"one"}}
	for i, step := range []struct {
		after time.Duration
		lost  loader.Lost
		due   bool
	}{
		{0, loader.Lost{}, false},
		{0, one, true},
		{time.Second, one, false},
		{time.Second, one, true}, // 2 s
		{3 * time.Second, one, false},
		{time.Second, one, true}, // 4 s
		{4 * time.Second, one, false},
		{time.Second, one, true}, // the limit
		{0, other, true},
		{0, other, false},
		{0, one, true},
		{0, loader.Lost{}, false},
		{0, one, true},
	} {
		now = now.Add(step.after)
		if got := r.due(step.lost, now, limit); got != step.due {
			t.Errorf("step %d: due is %v, want %v", i, got, step.due)
		}
	}
}

func TestRulesTurn(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld()
	a := w.agent()
	if a.rulesTurned() {
		t.Error("rules have turned that are as before")
	}
	w.docker.rules = true
	if !a.rulesTurned() {
		t.Error("rules have come, and nobody sees it")
	}
	a.reconcile()
	if a.rulesTurned() {
		t.Error("rules that the reconcile has seen turn again")
	}
}
