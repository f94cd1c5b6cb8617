package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// joinSandbox notes an endpoint's addresses with those of its sandbox's others.
// The error wraps ErrFull where they are too many.
func (d *Datapath) joinSandbox(raw bpf.EbnetEndpoint) error {
	if raw.Sandbox == 0 {
		return nil
	}
	addrs, err := d.sandboxAddrs(raw.Sandbox)
	if err != nil {
		return err
	}
	n := len(addrs)
	for _, a := range addresses(raw) {
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == n {
		return nil
	}
	return d.putSandbox(raw.Sandbox, addrs)
}

// leaveSandbox takes an endpoint's addresses away from its sandbox's.
func (d *Datapath) leaveSandbox(raw bpf.EbnetEndpoint) error {
	addrs, err := d.sandboxAddrs(raw.Sandbox)
	if err != nil || len(addrs) == 0 {
		return err
	}
	gone := addresses(raw)
	return d.putSandbox(raw.Sandbox, slices.DeleteFunc(addrs, func(a bpf.EbnetAddr) bool {
		return slices.Contains(gone, a)
	}))
}

// sandboxAddrs are the addresses of all endpoints of a sandbox.
func (d *Datapath) sandboxAddrs(id uint64) ([]bpf.EbnetAddr, error) {
	var box bpf.EbnetSandbox
	err := d.maps.Sandboxes.Lookup(id, &box)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up sandbox %016x: %w", id, err)
	}
	n := slices.Index(box.Addrs[:], bpf.EbnetAddr{})
	if n < 0 {
		n = len(box.Addrs)
	}
	return slices.Clone(box.Addrs[:n]), nil
}

func (d *Datapath) putSandbox(id uint64, addrs []bpf.EbnetAddr) error {
	var box bpf.EbnetSandbox
	var err error
	switch {
	case len(addrs) > len(box.Addrs):
		err = fmt.Errorf("%w: it has %d addresses already", ErrFull, len(box.Addrs))
	case len(addrs) == 0:
		err = d.maps.Sandboxes.Delete(id)
	default:
		copy(box.Addrs[:], addrs)
		err = full(d.maps.Sandboxes.Put(id, box))
	}
	if err != nil {
		return fmt.Errorf("note the addresses of sandbox %016x: %w", id, err)
	}
	return nil
}
