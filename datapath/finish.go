package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// An agent can die between two writes that belong together. What it has left half done the
// next one completes when it opens the tables: nobody else could see it.

// finishEndpoints writes the addresses of endpoints that are missing. Those of one whose
// deletion had begun stay away.
func (d *Datapath) finishEndpoints() error {
	all, err := entries[uint32, bpf.EbnetEndpoint](d.maps.Devices)
	if err != nil {
		return err
	}
	for _, raw := range all {
		gen, err := d.generation(raw.Slot)
		if err == nil && gen == raw.Gen {
			err = d.addMissing(raw)
		}
		if err != nil {
			return fmt.Errorf("complete endpoint %s: %w", nameOf(raw), err)
		}
	}
	return nil
}

func (d *Datapath) addMissing(raw bpf.EbnetEndpoint) error {
	for _, a := range addresses(raw) {
		var have bpf.EbnetEndpoint
		err := d.maps.Endpoints.Lookup(a, &have)
		if err == nil {
			continue
		}
		if !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		if err := d.addEndpointBit(a); err != nil {
			return err
		}
		if err := d.maps.Endpoints.Put(a, raw); err != nil {
			return full(err)
		}
	}
	return d.joinSandbox(raw)
}

// recountReserved counts anew how many publishes hold each port.
func (d *Datapath) recountReserved(published []Publish) error {
	want := map[uint32]uint32{}
	for _, p := range published {
		if p.Held {
			continue
		}
		for port := int(p.HostPort); port <= int(p.HostPortEnd); port++ {
			want[portIndex(p.Proto, uint16(port))]++
		}
	}
	for e, err := range elements[uint32, uint32](d.maps.Reserved) {
		if err == nil && e.val != want[e.key] {
			err = d.maps.Reserved.Put(e.key, want[e.key])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
