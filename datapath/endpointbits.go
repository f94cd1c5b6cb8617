package datapath

import (
	"fmt"

	"github.com/ebnet/ebnet/bpf"
)

// endpointBits says for each hash of an address how many endpoints have one with that
// hash, and the programs whether there are any.
type endpointBits [1 << 16]uint16

// endpointHash is the programs' function: bpf/lib/endpoint.h.
func endpointHash(a bpf.EbnetAddr) uint16 {
	h := a.W[2] ^ a.W[3]
	return uint16(h ^ h>>16)
}

// loadEndpointBits counts the addresses that are there. What a crash has left of others
// costs a look-up.
func (d *Datapath) loadEndpointBits() error {
	all, err := entries[bpf.EbnetAddr, bpf.EbnetEndpoint](d.maps.Endpoints)
	if err != nil {
		return err
	}
	for addr := range all {
		d.bits[endpointHash(addr)]++
	}
	return d.writeEndpointBits()
}

// addEndpointBit has to come before the address, or packets would not find it.
func (d *Datapath) addEndpointBit(a bpf.EbnetAddr) error {
	h := endpointHash(a)
	if d.bits[h]++; d.bits[h] > 1 {
		return nil
	}
	return d.writeEndpointBits()
}

// dropEndpointBit comes after the address is gone.
func (d *Datapath) dropEndpointBit(a bpf.EbnetAddr) error {
	h := endpointHash(a)
	if d.bits[h] == 0 {
		return nil
	}
	if d.bits[h]--; d.bits[h] > 0 {
		return nil
	}
	return d.writeEndpointBits()
}

func (d *Datapath) writeEndpointBits() error {
	var raw bpf.EbnetAddressSet
	for h, n := range d.bits {
		if n > 0 {
			raw.Bits[h>>3] |= 1 << (h & 7)
		}
	}
	if err := d.maps.EndpointBits.Put(uint32(0), raw); err != nil {
		return fmt.Errorf("write which addresses are endpoints': %w", err)
	}
	return nil
}
