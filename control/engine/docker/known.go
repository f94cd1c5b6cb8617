package docker

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/ebnet/ebnet/control/engine"
)

// known is what Docker has as far as is known, by ID. It outlives connections.
type known struct {
	mu         sync.Mutex
	networks   map[string]engine.Network
	containers map[string]container
	complete   bool          // all of one list has been looked at
	changed    chan struct{} // has room for one signal
}

func newKnown() *known {
	return &known{
		networks:   map[string]engine.Network{},
		containers: map[string]container{},
		changed:    make(chan struct{}, 1),
	}
}

// finish says that nothing is missing any more.
func (k *known) finish() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.complete {
		k.complete = true
		k.signal()
	}
}

// signal wants mu. What waits for changes hears of those that make a whole world.
func (k *known) signal() {
	if !k.complete {
		return
	}
	select {
	case k.changed <- struct{}{}:
	default: // it has not even begun to look at the change before
	}
}

// put sets or adds one thing.
func put[T any](k *known, things map[string]T, id string, thing T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old, ok := things[id]; ok && reflect.DeepEqual(old, thing) {
		return
	}
	things[id] = thing
	k.signal()
}

// add adds one thing of which nothing is known.
func add[T any](k *known, things map[string]T, id string, thing T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := things[id]; ok {
		return
	}
	things[id] = thing
	k.signal()
}

// find is one thing as it is known.
func find[T any](k *known, things map[string]T, id string) (thing T, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	thing, ok = things[id]
	return thing, ok
}

// replace sets one thing of which nothing else was learned since it was found.
func replace[T any](k *known, things map[string]T, id string, found, thing T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, ok := things[id]; ok && reflect.DeepEqual(now, found) {
		things[id] = thing
		k.signal()
	}
}

// drop removes one thing, if it is there.
func drop[T any](k *known, things map[string]T, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := things[id]; ok {
		delete(things, id)
		k.signal()
	}
}

// ids are those of all things of a kind.
func ids[T any](k *known, things map[string]T) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Keys(things))
}

// world puts together what is known.
func (k *known) world() engine.World {
	k.mu.Lock()
	defer k.mu.Unlock()
	w := engine.World{Networks: slices.Collect(maps.Values(k.networks))}
	rename(w.Networks)
	names := make(map[string]string, len(w.Networks))
	for _, n := range w.Networks {
		names[n.ID] = n.Name
	}
	for _, c := range k.containers {
		w.Containers = append(w.Containers, k.whole(c, names))
	}
	slices.SortFunc(w.Containers, func(a, b engine.Container) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return w
}

// whole is a container with what depends on the networks, whose names are given
// by ID, and on the container that it joins. It wants mu.
func (k *known) whole(c container, names map[string]string) engine.Container {
	if host, ok := k.containers[c.Joins]; ok && c.Running {
		c.Netns, c.OnHost = host.Netns, host.OnHost
	}
	for _, e := range c.endpoints {
		if name, ok := names[e.Network]; ok {
			e.Network = name
			c.Endpoints = append(c.Endpoints, e.Endpoint)
		}
	}
	slices.SortFunc(c.Endpoints, func(a, b engine.Endpoint) int { return cmp.Compare(a.Network, b.Network) })
	return c.Container
}
