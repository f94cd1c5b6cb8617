package docker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ebnet/ebnet/control/engine"
)

// Socket is where a Docker daemon listens unless it was told otherwise.
const Socket = "/var/run/docker.sock"

// Engine follows one Docker daemon.
type Engine struct {
	socket   string
	interval time.Duration
	log      *slog.Logger
	known    *known
	proc     string // /proc, but in tests

	mu    sync.Mutex
	state State
	gone  time.Time // when Docker was last seen to work for a while
}

// Options say which daemon to follow, and how.
type Options struct {
	Socket   string        // path; empty: Socket
	Interval time.Duration // between lists, which find what no event told; 0: 30 s
	Log      *slog.Logger  // nil: nothing is logged
}

// State says whether Docker answers.
type State struct {
	Connected bool      // the last world is what Docker has
	Version   string    // of the daemon, the last one that answered
	Err       error     // why it is not connected; nil before the first attempt
	Since     time.Time // when Connected became what it is
}

// New makes an Engine. It asks Docker nothing before Run.
func New(options Options) *Engine {
	now := time.Now()
	e := &Engine{
		socket: options.Socket, interval: options.Interval, log: options.Log,
		known: newKnown(), proc: "/proc", state: State{Since: now}, gone: now,
	}
	if e.socket == "" {
		e.socket = Socket
	}
	if e.interval == 0 {
		e.interval = 30 * time.Second
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	return e
}

// Read looks once at what the Docker daemon at a socket has.
func Read(ctx context.Context, socket string) (engine.World, error) {
	e := New(Options{Socket: socket})
	ctx, cancel := context.WithCancel(ctx)
	c := e.connect(ctx)
	defer c.close()
	defer cancel()
	if _, err := c.negotiate(ctx); err != nil {
		return engine.World{}, err
	}
	if err := c.list(ctx); err != nil {
		return engine.World{}, err
	}
	return e.known.world(), nil
}

// Version asks the Docker daemon at a socket for its version.
func Version(ctx context.Context, socket string) (string, error) {
	c := newClient(socket)
	defer c.close()
	return c.negotiate(ctx)
}

// State says whether Docker answers now.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Run follows Docker until the context ends. It hands each changed world to sink,
// one after the other; changes while sink is busy come together in one. The first
// is handed over when all of it is known, an empty one as well. While Docker does
// not answer, nothing is handed over and nothing is forgotten.
func (e *Engine) Run(ctx context.Context, sink func(engine.World)) {
	var following sync.WaitGroup
	following.Go(func() { e.follow(ctx) })
	defer following.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.known.changed:
			sink(e.known.world())
		}
	}
}

// follow keeps connecting until the context ends.
func (e *Engine) follow(ctx context.Context) {
	for {
		err := e.connection(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := pause(time.Since(e.lost(err)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// pause is how long to wait for the next attempt when Docker has been gone for a
// time: a daemon that restarts is noticed at once, one that is not there costs
// little.
func pause(gone time.Duration) time.Duration {
	return min(max(gone/10, 10*time.Millisecond), time.Second)
}

// connection follows Docker until it stops answering, and returns why.
func (e *Engine) connection(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	c := e.connect(ctx)
	defer c.close() // when the group has cancelled the context
	group.Go(func() error {
		// The events of a moment before come again: Docker answers before it
		// has begun to listen for new ones.
		since := time.Now().Add(-time.Second)
		version, err := c.negotiate(ctx)
		if err != nil {
			return err
		}
		events, err := c.client.events(ctx, since)
		if err != nil {
			return err
		}
		group.Go(func() error {
			defer events.Close()
			return c.follow(events)
		})
		if err := c.list(ctx); err != nil {
			return err
		}
		e.found(version)
		e.known.finish()
		return e.relist(ctx, c)
	})
	return group.Wait()
}

// relist lists again at the interval, until Docker does not answer.
func (e *Engine) relist(ctx context.Context, c *connection) error {
	tick := time.NewTicker(e.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := c.list(ctx); err != nil {
			return err
		}
	}
}

// found notes that Docker answers.
func (e *Engine) found(version string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state = State{Connected: true, Version: version, Since: time.Now()}
	e.log.Info("following Docker", "socket", e.socket, "version", version)
}

// lost notes that Docker does not answer, and returns since when it has not worked.
func (e *Engine) lost(err error) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state.Connected || e.state.Err == nil {
		e.log.Warn("Docker does not answer; what it had stays as it was", "socket", e.socket, "error", err)
	}
	if e.state.Connected {
		now := time.Now()
		if now.Sub(e.state.Since) > time.Second { // or it ends each connection at once
			e.gone = now
		}
		e.state.Connected, e.state.Since = false, now
	}
	e.state.Err = err
	return e.gone
}
