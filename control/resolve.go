package control

import (
	"errors"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// resolve finds the full name of a thing: its own, or that of an engine's thing by
// the name that it has there, where no other engine has one of it.
func resolve[T any](things map[string]T, name string) (full string, found bool, err error) {
	if _, ok := things[name]; ok {
		return name, true, nil
	}
	var all []string
	for other := range things {
		if engine, short, ok := strings.Cut(other, "/"); ok && engine != "" && short == name {
			all = append(all, other)
		}
	}
	if len(all) > 1 {
		slices.Sort(all)
		return "", false, api.Errorf(api.CodeConflict, "%q can be %s: say which", name, strings.Join(all, " or "))
	}
	if len(all) == 0 {
		return "", false, nil
	}
	return all[0], true, nil
}

// findSandbox finds a sandbox by its name, as people write it.
func (a *Agent) findSandbox(name string) (store.Sandbox, error) {
	if err := api.ValidRef(name); err != nil {
		return store.Sandbox{}, err
	}
	full, found, err := resolve(a.want.sandboxes, name)
	if err == nil && !found {
		err = noSandbox(name)
	}
	return a.want.sandboxes[full], err
}

// findNetwork finds a network by its name, as people write it. Those that are built
// in have nothing but their name.
func (a *Agent) findNetwork(name string) (store.Network, error) {
	if err := api.ValidRef(name); err != nil {
		return store.Network{}, err
	}
	if isBuiltIn(name) {
		return store.Network{Name: name, Driver: name, Owner: ownerEbnet}, nil
	}
	full, found, err := resolve(a.want.networks, name)
	if err == nil && !found {
		err = noNetwork(name)
	}
	return a.want.networks[full], err
}

// findPair finds a network and a sandbox by their names, as people write them.
func (a *Agent) findPair(network, sandbox string) (store.Network, store.Sandbox, error) {
	if err := errors.Join(api.ValidRef(network), api.ValidRef(sandbox)); err != nil {
		return store.Network{}, store.Sandbox{}, err
	}
	n, err := a.findNetwork(network)
	if err != nil {
		return store.Network{}, store.Sandbox{}, err
	}
	sb, err := a.findSandbox(sandbox)
	return n, sb, err
}
