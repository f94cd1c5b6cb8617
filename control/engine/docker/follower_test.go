package docker

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/engine"
)

// wait is how long a test waits for what has to come.
const wait = 20 * time.Second

// follower is an Engine that runs, and what it has handed over.
type follower struct {
	*Engine
	t      *testing.T
	worlds chan engine.World
}

// follow runs an Engine until the test ends.
func follow(t *testing.T, f *fake, interval time.Duration) *follower {
	t.Helper()
	l := &follower{
		Engine: New(Options{Socket: f.socket, Interval: interval}),
		t:      t, worlds: make(chan engine.World, 10000),
	}
	runEngine(t, l.Engine, func(w engine.World) { l.worlds <- w })
	return l
}

// runEngine runs an Engine until the test ends, and checks that all of it ends
// then.
func runEngine(t *testing.T, e *Engine, sink func(engine.World)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); e.Run(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(wait):
			t.Error("Run does not end with its context")
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for _, left := range []string{"(*Engine).follow(", "(*lookups[...]).run("} {
			if bytes.Contains(stacks, []byte("engine/docker."+left)) {
				t.Errorf("%s goes on after Run has ended", left)
			}
		}
	})
}

// next is the next world.
func (l *follower) next() engine.World {
	l.t.Helper()
	select {
	case w := <-l.worlds:
		return w
	case <-time.After(wait):
		l.t.Fatalf("no world came; state %+v", l.State())
	}
	return engine.World{}
}

// until is the first world that is as wanted; all on the way to it are checked.
func (l *follower) until(wanted func(engine.World) bool, checks ...func(engine.World) error) engine.World {
	l.t.Helper()
	for {
		w := l.next()
		for _, check := range checks {
			if err := check(w); err != nil {
				l.t.Fatal(err)
			}
		}
		if wanted(w) {
			return w
		}
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(wait); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not so: %s", what)
		}
	}
}

// has says whether a world has a container of that name.
func has(w engine.World, name string) bool {
	_, ok := containerOf(w, name)
	return ok
}

func containerOf(w engine.World, name string) (engine.Container, bool) {
	for _, c := range w.Containers {
		if c.Name == name {
			return c, true
		}
	}
	return engine.Container{}, false
}

var errMissing = errors.New("a container that was there all the time is missing")
