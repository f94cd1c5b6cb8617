package control

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

func (k *fakeKernel) PutEndpoint(ep datapath.Endpoint) (datapath.Endpoint, error) {
	have := k.endpoints[ep.Ifindex]
	if ep.Slot = have.Slot; ep == have {
		return ep, nil
	}
	if err := k.step("endpoint"); err != nil {
		return ep, err
	}
	k.next++
	ep.Slot = uint32(k.next)
	k.endpoints[ep.Ifindex] = ep
	return ep, nil
}

func (k *fakeKernel) DeleteEndpoint(ifindex uint32) error {
	if err := k.step("delete endpoint"); err != nil {
		return err
	}
	delete(k.endpoints, ifindex)
	return nil
}

func (k *fakeKernel) Endpoints() ([]datapath.Endpoint, error) {
	var out []datapath.Endpoint
	for _, ep := range k.endpoints {
		out = append(out, ep)
	}
	return out, nil
}

func (k *fakeKernel) PutNetwork(n datapath.Network) error {
	if err := k.step("network"); err != nil {
		return err
	}
	k.networks[n.Index] = n
	return nil
}

func (k *fakeKernel) DeleteNetwork(i uint16) error {
	if err := k.step("delete network"); err != nil {
		return err
	}
	delete(k.networks, i)
	return nil
}

func (k *fakeKernel) Networks() ([]datapath.Network, error) {
	var out []datapath.Network
	for _, n := range k.networks {
		out = append(out, n)
	}
	return out, nil
}

func (k *fakeKernel) Publish(p datapath.Publish, allow []netip.Prefix) (datapath.Publish, error) {
	if err := k.step("publish"); err != nil {
		return datapath.Publish{}, err
	}
	k.busy.Lock()
	defer k.busy.Unlock()
	if _, ok := k.publishes[p.String()]; ok {
		return datapath.Publish{}, datapath.ErrExists
	}
	k.next++
	p.Slot = uint32(k.next)
	k.publishes[p.String()] = p
	k.allowed[p.Slot] = allow
	return p, nil
}

func (k *fakeKernel) SetAllowed(slot uint32, allow []netip.Prefix) error {
	if err := k.step("set allowed"); err != nil {
		return err
	}
	k.allowed[slot] = allow
	return nil
}

func (k *fakeKernel) Allowed(slot uint32) ([]netip.Prefix, error) { return k.allowed[slot], nil }

func (k *fakeKernel) Unpublish(p datapath.Publish) error {
	if err := k.step("unpublish"); err != nil {
		return err
	}
	k.busy.Lock()
	defer k.busy.Unlock()
	delete(k.publishes, p.String())
	return nil
}

func (k *fakeKernel) Publishes() ([]datapath.Publish, error) {
	k.busy.Lock()
	out := slices.Collect(maps.Values(k.publishes))
	k.busy.Unlock()
	if k.afterRead != nil {
		k.afterRead()
	}
	return out, nil
}

func (k *fakeKernel) PublishesAt(places []datapath.Publish) ([]datapath.Publish, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	var out []datapath.Publish
	for _, p := range k.publishes {
		if slices.ContainsFunc(places, func(at datapath.Publish) bool {
			return at.Proto == p.Proto && at.Host == p.Host && at.HostPort <= p.HostPortEnd && p.HostPort <= at.HostPortEnd
		}) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (k *fakeKernel) SetUplinks(u []datapath.Uplink) error { k.uplinks = u; return nil }

func (k *fakeKernel) SetHostAddrs(a []datapath.HostAddr) error {
	if slices.Equal(k.addrs, a) {
		return nil
	}
	if err := k.step("host addresses"); err != nil {
		return err
	}
	k.addrs = a
	return nil
}

func (k *fakeKernel) SetSettings(datapath.Settings) error { return k.step("settings") }

func (k *fakeKernel) Sweep() (datapath.Swept, error) {
	k.swept++
	return datapath.Swept{}, nil
}

func (k *fakeKernel) MapUsage() ([]datapath.MapUsage, error) { return nil, nil }

func (k *fakeKernel) FlowStats() (datapath.FlowStats, error) {
	return datapath.FlowStats{Limit: 7}, nil
}

func (k *fakeKernel) Flows() iter.Seq2[datapath.Flow, error] { return k.flows }

func (k *fakeKernel) flows(func(datapath.Flow, error) bool) {}

func (k *fakeKernel) EndAllFlows() (int, error) { return k.flush("all") }

func (k *fakeKernel) EndEndpointFlows(slot uint32) (int, error) { return k.flush("endpoint ", slot) }

func (k *fakeKernel) EndPublishFlows(slot uint32, port uint16) (int, error) {
	return k.flush("publish ", slot, port)
}

func (k *fakeKernel) flush(what ...any) (int, error) {
	k.flushed = append(k.flushed, fmt.Sprint(what...))
	return len(k.flushed), nil
}

func (k *fakeKernel) Origins() ([]datapath.Origin, error) { return k.origins, nil }

// Lost are pins alone: what is off its hook shows in Attached.
func (k *fakeKernel) Lost() (loader.Lost, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	return loader.Lost{Pins: slices.Clone(k.unpinned)}, k.blind
}

func (k *fakeKernel) Hints() <-chan struct{} { return k.hints }

func (k *fakeKernel) Repin() ([]string, error) {
	k.busy.Lock()
	defer k.busy.Unlock()
	if len(k.unpinned) == 0 {
		return nil, nil
	}
	if err := k.step("pin"); err != nil {
		return nil, err
	}
	again := k.unpinned
	k.unpinned = nil
	return again, nil
}
