package control

import (
	"cmp"
	"maps"
	"slices"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// Store is what the agent needs of the store.
type Store interface {
	ID() string
	State() (store.State, error)
	Update(func(*store.Tx) error) error
	View(func(*store.Tx) error) error
	Close() error
}

// desired is what people asked for: the store's content, in memory.
type desired struct {
	networks  map[string]store.Network
	sandboxes map[string]store.Sandbox
	publishes map[store.PublishKey]store.Publish
	lists     map[store.PublishKey]store.SourceList // of what engines publish, whether they do or not
}

func newDesired(s store.State) desired {
	d := desired{
		networks:  map[string]store.Network{},
		sandboxes: map[string]store.Sandbox{},
		publishes: map[store.PublishKey]store.Publish{},
		lists:     map[store.PublishKey]store.SourceList{},
	}
	for _, n := range s.Networks {
		d.networks[n.Name] = n
	}
	for _, sb := range s.Sandboxes {
		d.sandboxes[sb.Name] = sb
	}
	for _, p := range s.Publishes {
		d.publishes[p.Key()] = p
	}
	for _, l := range s.Lists {
		d.lists[l.Key()] = l
	}
	return d
}

// published are the publishes of one sandbox, in order.
func (d desired) published(sandbox string) []store.Publish {
	var out []store.Publish
	for _, p := range d.publishes {
		if p.Sandbox == sandbox {
			out = append(out, p)
		}
	}
	sortPublishes(out)
	return out
}

// members are the sandboxes on a network, by name.
func (d desired) members(network string) []store.Sandbox {
	return slices.DeleteFunc(d.sandboxList(), func(sb store.Sandbox) bool {
		_, on := findAttachment(sb, network)
		return !on
	})
}

// ports are the host ports that are to be kept from others, whatever their address
// and protocol. Those that an engine publishes it keeps itself, with a socket.
func (d desired) ports() netdev.PortSet {
	var set netdev.PortSet
	for _, p := range d.publishes {
		if !foreign(p.Owner) {
			set.Add(p.HostPort, p.HostPortEnd)
		}
	}
	return set
}

func (d desired) sandboxList() []store.Sandbox {
	return slices.SortedFunc(maps.Values(d.sandboxes), func(a, b store.Sandbox) int { return cmp.Compare(a.Name, b.Name) })
}

func (d desired) networkList() []store.Network {
	return slices.SortedFunc(maps.Values(d.networks), func(a, b store.Network) int { return cmp.Compare(a.Name, b.Name) })
}

func (d desired) publishList() []store.Publish {
	out := slices.Collect(maps.Values(d.publishes))
	sortPublishes(out)
	return out
}

func sortPublishes(ps []store.Publish) {
	slices.SortFunc(ps, func(a, b store.Publish) int { return a.Key().Compare(b.Key()) })
}

// change is what one transaction puts into the desired state and takes out.
type change struct {
	putNetworks  []store.Network
	delNetworks  []string
	putSandboxes []store.Sandbox
	delSandboxes []string
	putPublishes []store.Publish
	delPublishes []store.PublishKey
	putLists     []store.SourceList
	delLists     []store.PublishKey
}

func (c change) write(tx *store.Tx) error {
	for _, n := range c.putNetworks {
		if err := tx.PutNetwork(n); err != nil {
			return err
		}
	}
	for _, name := range c.delNetworks {
		if err := tx.DeleteNetwork(name); err != nil {
			return err
		}
	}
	for _, sb := range c.putSandboxes {
		if err := tx.PutSandbox(sb); err != nil {
			return err
		}
	}
	for _, name := range c.delSandboxes {
		if err := tx.DeleteSandbox(name); err != nil {
			return err
		}
	}
	for _, p := range c.putPublishes {
		if err := tx.PutPublish(p); err != nil {
			return err
		}
	}
	for _, key := range c.delPublishes {
		if err := tx.DeletePublish(key); err != nil {
			return err
		}
	}
	for _, l := range c.putLists {
		if err := tx.PutList(l); err != nil {
			return err
		}
	}
	for _, key := range c.delLists {
		if err := tx.DeleteList(key); err != nil {
			return err
		}
	}
	return nil
}

func (c change) apply(d desired) {
	for _, n := range c.putNetworks {
		d.networks[n.Name] = n
	}
	for _, name := range c.delNetworks {
		delete(d.networks, name)
	}
	for _, sb := range c.putSandboxes {
		d.sandboxes[sb.Name] = sb
	}
	for _, name := range c.delSandboxes {
		delete(d.sandboxes, name)
	}
	for _, p := range c.putPublishes {
		d.publishes[p.Key()] = p
	}
	for _, key := range c.delPublishes {
		delete(d.publishes, key)
	}
	for _, l := range c.putLists {
		d.lists[l.Key()] = l
	}
	for _, key := range c.delLists {
		delete(d.lists, key)
	}
}

// commit makes a change wanted: on disk first, then in memory. On an error
// nothing has changed. The caller holds a.ops.
func (a *Agent) commit(c change) error {
	if err := a.store.Update(c.write); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c.apply(a.want)
	return nil
}
