// Package datapath gives the BPF maps their meaning: typed tables of endpoints,
// networks, published ports, uplinks, flows and counters.
//
// Everything here takes effect on the next packet. Nothing is remembered that
// the maps do not hold, but what is in use of them, which Open reads from them.
package datapath

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

var (
	// ErrExists says that a host port is published already.
	ErrExists = errors.New("exists already")
	// ErrNotFound says that there is no such entry.
	ErrNotFound = errors.New("not found")
	// ErrFull says that a table has no room.
	ErrFull = errors.New("table is full")
)

// Datapath writes and reads the tables that the programs use. Its methods may
// be called from several goroutines.
type Datapath struct {
	maps  *bpf.EbnetMaps
	sweep *ebpf.Program

	mu        sync.Mutex // serialises changes and guards the slots
	endpoints slots
	publishes slots
	lists     slots                     // of sources
	prefixes  map[uint32][]netip.Prefix // what a list lets in, in order
	bits      endpointBits

	sweeping sync.Mutex // one at a time: each counts what it leaves
}

// Open takes the maps, which may be in use already, and the program that
// sweeps the flow tables.
func Open(maps *bpf.EbnetMaps, sweep *ebpf.Program) (*Datapath, error) {
	d := &Datapath{
		maps:      maps,
		sweep:     sweep,
		endpoints: newSlots(0, maps.Slots.MaxEntries()),
		publishes: newSlots(1, maps.PublishSlots.MaxEntries()),
		lists:     newSlots(1, math.MaxUint32>>1),
		prefixes:  map[uint32][]netip.Prefix{},
	}
	eps, err := d.Endpoints()
	if err != nil {
		return nil, err
	}
	for _, ep := range eps {
		d.endpoints.take(ep.Slot)
	}
	if err := d.loadEndpointBits(); err != nil {
		return nil, err
	}
	pubs, err := d.Publishes()
	if err != nil {
		return nil, err
	}
	for _, p := range pubs {
		d.publishes.take(p.Slot)
	}
	for _, finish := range []func() error{d.finishEndpoints, func() error { return d.recountReserved(pubs) }, d.readLists} {
		if err := finish(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// slots hands out indexes of an array, the one longest free first, so that
// what still carries an old one has time to go.
type slots struct {
	first, limit uint32 // of the indexes: [first, limit)
	next         uint32
	used         map[uint32]struct{}
}

func newSlots(first, limit uint32) slots {
	return slots{first: first, limit: limit, next: first, used: map[uint32]struct{}{}}
}

func (s *slots) take(i uint32) { s.used[i] = struct{}{} }

func (s *slots) release(i uint32) { delete(s.used, i) }

func (s *slots) allocate() (uint32, error) {
	if uint32(len(s.used)) >= s.limit-s.first {
		return 0, ErrFull
	}
	for {
		i := s.next
		if s.next++; s.next >= s.limit {
			s.next = s.first
		}
		if _, used := s.used[i]; !used {
			s.take(i)
			return i, nil
		}
	}
}

// element is one of a map's.
type element[K, V any] struct {
	key K
	val V
}

// elements walks a map in batches, in no order. What comes or goes meanwhile may be
// seen or not.
func elements[K, V any](m *ebpf.Map) iter.Seq2[element[K, V], error] {
	return func(yield func(element[K, V], error) bool) {
		size := min(4096, m.MaxEntries())
		keys, vals := make([]K, size), make([]V, size)
		var cursor ebpf.MapBatchCursor
		for {
			n, err := m.BatchLookup(&cursor, keys, vals, nil)
			for i := range n {
				if !yield(element[K, V]{keys[i], vals[i]}, nil) {
					return
				}
			}
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				return
			}
			if err != nil {
				yield(element[K, V]{}, fmt.Errorf("read map %s: %w", mapName(m), err))
				return
			}
		}
	}
}

// entries collects a map.
func entries[K comparable, V any](m *ebpf.Map) (map[K]V, error) {
	out := map[K]V{}
	for e, err := range elements[K, V](m) {
		if err != nil {
			return nil, err
		}
		out[e.key] = e.val
	}
	return out, nil
}

// replace makes a hash map hold exactly want: what is missing or differs is
// written first, what is too much is deleted afterwards.
func replace[K, V comparable](m *ebpf.Map, want map[K]V) error {
	have, err := entries[K, V](m)
	if err != nil {
		return err
	}
	for k, v := range want {
		if old, ok := have[k]; ok && old == v {
			continue
		}
		if err := m.Put(k, v); err != nil {
			return fmt.Errorf("write map %s: %w", mapName(m), full(err))
		}
	}
	for k := range have {
		if _, ok := want[k]; ok {
			continue
		}
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("write map %s: %w", mapName(m), err)
		}
	}
	return nil
}
