package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ebnet/ebnet/control/engine"
)

const (
	// sweepers is how many things are asked about at once after a list. Events
	// are not held up by it.
	sweepers = 8
	// patience is how long a list waits for the answer about one container.
	// Docker holds it back while that container starts.
	patience = 100 * time.Millisecond
	// again is when a question that Docker could not answer is asked again.
	again = time.Second
)

// connection keeps what is known up to date for as long as Docker answers.
type connection struct {
	client *client
	known  *known
	log    *slog.Logger
	proc   string

	networks   *lookups[string]
	containers *lookups[string]
	arrivals   *lookups[place]

	mu     sync.Mutex
	listed map[string]func() // by ID: notes what the last list said, if nothing else is known
	setup  Setup             // the daemon's, if it can be read
}

// connect makes a connection whose questions end with the context. The caller
// has to cancel it and then to close the connection.
func (e *Engine) connect(ctx context.Context) *connection {
	c := &connection{client: newClient(e.socket), known: e.known, log: e.log, proc: e.proc}
	c.networks = newLookups(func(id string) { c.lookNetwork(ctx, id) })
	c.containers = newLookups(func(id string) { c.lookContainer(ctx, id) })
	c.arrivals = newLookups(func(at place) { c.lookArrival(ctx, at) })
	return c
}

// negotiate settles on what both sides speak, and finds out what the daemon that
// answers was told. It returns the daemon's version.
func (c *connection) negotiate(ctx context.Context) (string, error) {
	version, err := c.client.negotiate(ctx)
	if err != nil {
		return "", err
	}
	setup, err := ReadSetup(c.proc, ConfigFile)
	if err != nil {
		c.log.Warn("it is not known how Docker is set up", "error", err)
		setup = Setup{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setup = setup
	return version, nil
}

// readNetwork also says whether the default network is to be masqueraded, if that can
// be known.
func (c *connection) readNetwork(reply networkReply) (engine.Network, bool) {
	n, ok := readNetwork(reply)
	if !n.MasqueradeUnknown {
		return n, ok
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if on, known := c.setup.masquerade(); known {
		n.Masquerade, n.MasqueradeUnknown = on, false
	}
	return n, ok
}

func (c *connection) close() {
	c.networks.stop()
	c.containers.stop()
	c.arrivals.stop()
	c.client.close()
}

// follow reads events until the stream breaks.
func (c *connection) follow(events io.Reader) error {
	for decoder := json.NewDecoder(events); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return errors.New("read events: Docker ended the stream")
		} else if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		switch e.Type {
		case "container":
			c.containers.start(e.Actor.ID)
		case "network":
			// To connect a container changes the container, not the network.
			if container := e.Actor.Attributes["container"]; container != "" {
				c.containers.start(container)
				if e.Action == "connect" {
					c.arrivals.start(place{e.Actor.ID, container})
				}
				continue
			}
			c.networks.start(e.Actor.ID)
		}
	}
}

// list asks for all that Docker has, and about all of that and of what was known
// before. An answer that takes its time is not waited for.
func (c *connection) list(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	networks, err := get[[]networkReply](short, c.client, "/networks")
	if err != nil {
		return err
	}
	containers, err := get[[]summaryReply](short, c.client, "/containers/json?all=true")
	if err != nil {
		return err
	}
	listed := map[string]func(){}
	networkIDs := ids(c.known, c.known.networks)
	for _, reply := range networks {
		if network, ok := c.readNetwork(reply); ok {
			networkIDs = append(networkIDs, reply.ID)
			listed[reply.ID] = func() { add(c.known, c.known.networks, reply.ID, network) }
		}
	}
	containerIDs := ids(c.known, c.known.containers)
	for _, reply := range containers {
		containerIDs = append(containerIDs, reply.ID)
		listed[reply.ID] = func() { add(c.known, c.known.containers, reply.ID, readSummary(reply)) }
	}
	c.mu.Lock()
	c.listed = listed
	c.mu.Unlock()
	c.sweep(ctx, c.networks, networkIDs)
	c.sweep(ctx, c.containers, containerIDs)
	return ctx.Err()
}

// sweep asks about each thing, a few at a time.
func (c *connection) sweep(ctx context.Context, l *lookups[string], all []string) {
	slices.Sort(all)
	var group errgroup.Group
	group.SetLimit(sweepers)
	for _, id := range slices.Compact(all) {
		group.Go(func() error {
			select {
			case <-l.start(id):
			case <-time.After(patience):
				c.fallBack(id)
			case <-ctx.Done():
			}
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// fallBack notes what the list said of a thing if nothing better is known.
func (c *connection) fallBack(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if note := c.listed[id]; note != nil {
		note()
	}
}

// gone takes back what the list said of a thing.
func (c *connection) gone(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.listed, id)
}

func (c *connection) lookNetwork(ctx context.Context, id string) {
	reply, err := get[networkReply](ctx, c.client, "/networks/"+url.PathEscape(id))
	switch {
	case errors.Is(err, errGone):
		c.gone(id)
		drop(c.known, c.known.networks, id)
	case err != nil:
		c.retry(ctx, c.networks, id, err)
	default:
		if network, ok := c.readNetwork(reply); ok {
			put(c.known, c.known.networks, id, network)
		}
	}
}

// lookContainer may wait long for its answer: Docker gives none while the
// container starts.
func (c *connection) lookContainer(ctx context.Context, id string) {
	reply, err := get[containerReply](ctx, c.client, "/containers/"+url.PathEscape(id)+"/json")
	switch {
	case errors.Is(err, errGone):
		c.gone(id)
		drop(c.known, c.known.containers, id)
	case err != nil:
		c.retry(ctx, c.containers, id, err)
	default:
		put(c.known, c.known.containers, id, readContainer(reply))
	}
}

// retry asks once more in a while, as long as the connection lasts.
func (c *connection) retry(ctx context.Context, l *lookups[string], id string, err error) {
	if ctx.Err() != nil {
		return
	}
	c.log.Debug("Docker gave no answer; it is asked again", "id", id, "error", err)
	c.fallBack(id)
	time.AfterFunc(again, func() { l.start(id) })
}
