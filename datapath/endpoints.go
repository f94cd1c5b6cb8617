package datapath

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// Endpoint is a container's attachment to a network.
type Endpoint struct {
	Slot    uint32 // in the arrays of generations and counters; chosen by PutEndpoint
	Addr4   netip.Addr
	Addr6   netip.Addr
	Ifindex uint32 // of the host-side device
	Network uint16 // index
	Sandbox uint64 // the same for all endpoints of one sandbox; 0: it has no other
}

// PutEndpoint makes the endpoint's addresses reachable and its device known. An
// endpoint that is there already (by Ifindex) is left alone if it is the same,
// and replaced if it is not. It fills Slot. The error wraps ErrFull.
func (d *Datapath) PutEndpoint(ep Endpoint) (Endpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()

	old, found, err := d.device(ep.Ifindex)
	if err != nil {
		return Endpoint{}, err
	}
	if found {
		have := fromEndpoint(old)
		if ep.Slot = have.Slot; have == ep {
			return ep, d.putAddresses(old)
		}
		if err := d.deleteEndpoint(old); err != nil {
			return Endpoint{}, err
		}
	}
	return d.addEndpoint(ep)
}

func (d *Datapath) addEndpoint(ep Endpoint) (_ Endpoint, err error) {
	if ep.Slot, err = d.endpoints.allocate(); err != nil {
		return Endpoint{}, fmt.Errorf("add endpoint %s: %w", cmp.Or(ep.Addr4, ep.Addr6), err)
	}
	raw := bpf.EbnetEndpoint{
		Addr4: toAddr(ep.Addr4), Addr6: toAddr(ep.Addr6),
		Ifindex: ep.Ifindex, Slot: ep.Slot, Network: ep.Network, Sandbox: ep.Sandbox,
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("add endpoint %s: %w", cmp.Or(ep.Addr4, ep.Addr6), full(err)), d.deleteEndpoint(raw))
		}
	}()
	if raw.Gen, err = d.generation(ep.Slot); err != nil {
		return Endpoint{}, err
	}
	zero := make([]bpf.EbnetEndpointCounters, ebpf.MustPossibleCPU())
	if err = d.maps.EpCounters.Put(ep.Slot, zero); err != nil {
		return Endpoint{}, err
	}
	if err = d.maps.Devices.Put(ep.Ifindex, raw); err != nil {
		return Endpoint{}, err
	}
	return ep, d.putAddresses(raw)
}

// putAddresses writes what is missing, and keeps what the programs have noted
// in entries that are there.
func (d *Datapath) putAddresses(raw bpf.EbnetEndpoint) error {
	for _, a := range addresses(raw) {
		var have bpf.EbnetEndpoint
		err := d.maps.Endpoints.Lookup(a, &have)
		if err == nil && have.Slot == raw.Slot && have.Gen == raw.Gen {
			continue
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		if err != nil {
			if err := d.addEndpointBit(a); err != nil {
				return err
			}
		}
		if err := d.maps.Endpoints.Put(a, raw); err != nil {
			return full(err)
		}
	}
	return d.joinSandbox(raw)
}

// DeleteEndpoint ends an endpoint: all its flows are dead with the first write.
// It is no error if there is none.
func (d *Datapath) DeleteEndpoint(ifindex uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw, found, err := d.device(ifindex)
	if err != nil || !found {
		return err
	}
	return d.deleteEndpoint(raw)
}

func (d *Datapath) deleteEndpoint(raw bpf.EbnetEndpoint) error {
	gen, err := d.generation(raw.Slot)
	if err == nil {
		err = d.maps.Slots.Put(raw.Slot, bpf.EbnetSlot{Gen: gen + 1})
	}
	if err != nil {
		return fmt.Errorf("end flows of endpoint %s: %w", nameOf(raw), err)
	}
	if err := d.leaveSandbox(raw); err != nil {
		return fmt.Errorf("delete endpoint %s: %w", nameOf(raw), err)
	}
	for _, a := range addresses(raw) {
		var have bpf.EbnetEndpoint
		if err := d.maps.Endpoints.Lookup(a, &have); err != nil || have.Slot != raw.Slot {
			continue // not there, or another's by now
		}
		err := d.maps.Endpoints.Delete(a)
		if err == nil {
			err = d.dropEndpointBit(a)
		}
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete endpoint %s: %w", fromAddr(a), err)
		}
	}
	if err := d.maps.Devices.Delete(raw.Ifindex); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("delete endpoint of device %d: %w", raw.Ifindex, err)
	}
	d.endpoints.release(raw.Slot)
	return nil
}

// Endpoints lists what the programs know, by slot.
func (d *Datapath) Endpoints() ([]Endpoint, error) {
	all, err := entries[uint32, bpf.EbnetEndpoint](d.maps.Devices)
	if err != nil {
		return nil, err
	}
	out := make([]Endpoint, 0, len(all))
	for _, raw := range all {
		out = append(out, fromEndpoint(raw))
	}
	slices.SortFunc(out, func(a, b Endpoint) int { return cmp.Compare(a.Slot, b.Slot) })
	return out, nil
}

func (d *Datapath) device(ifindex uint32) (raw bpf.EbnetEndpoint, found bool, err error) {
	err = d.maps.Devices.Lookup(ifindex, &raw)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return raw, false, nil
	}
	if err != nil {
		return raw, false, fmt.Errorf("look up device %d: %w", ifindex, err)
	}
	return raw, true, nil
}

func (d *Datapath) generation(slot uint32) (uint32, error) {
	var s bpf.EbnetSlot
	err := d.maps.Slots.Lookup(slot, &s)
	return s.Gen, err
}

// nameOf is the address by which errors name an endpoint.
func nameOf(raw bpf.EbnetEndpoint) netip.Addr {
	return cmp.Or(fromAddr(raw.Addr4), fromAddr(raw.Addr6))
}

func addresses(raw bpf.EbnetEndpoint) []bpf.EbnetAddr {
	var out []bpf.EbnetAddr
	for _, a := range []bpf.EbnetAddr{raw.Addr4, raw.Addr6} {
		if fromAddr(a).IsValid() {
			out = append(out, a)
		}
	}
	return out
}

func fromEndpoint(raw bpf.EbnetEndpoint) Endpoint {
	return Endpoint{
		Slot: raw.Slot, Addr4: fromAddr(raw.Addr4), Addr6: fromAddr(raw.Addr6),
		Ifindex: raw.Ifindex, Network: raw.Network, Sandbox: raw.Sandbox,
	}
}
