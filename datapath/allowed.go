package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// A source list is a number under which its prefixes stand in one map. A publish
// changes its list by naming another number, which is one write: at no instant
// does it have a half of either.

// SetAllowed makes these the sources that may connect to a publish; none means
// anyone. The error wraps ErrFull, and then the old list still holds.
func (d *Datapath) SetAllowed(slot uint32, allow []netip.Prefix) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.setAllowed(slot, allow)
}

func (d *Datapath) setAllowed(slot uint32, allow []netip.Prefix) error {
	var life bpf.EbnetPublishSlot
	if err := d.maps.PublishSlots.Lookup(slot, &life); err != nil {
		return fmt.Errorf("read source list of publish %d: %w", slot, err)
	}
	old := life.List
	var err error
	if life.List, err = d.addList(allow); err != nil {
		return fmt.Errorf("write source list: %w", err)
	}
	if life.List == old {
		return nil // there was none and is none
	}
	if err := d.maps.PublishSlots.Put(slot, life); err != nil {
		return errors.Join(fmt.Errorf("change source list of publish %d: %w", slot, err), d.deleteList(life.List))
	}
	return d.deleteList(old)
}

// Allowed reads the source list of a publish, in order; none means anyone.
func (d *Datapath) Allowed(slot uint32) ([]netip.Prefix, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var life bpf.EbnetPublishSlot
	if err := d.maps.PublishSlots.Lookup(slot, &life); err != nil {
		return nil, fmt.Errorf("read source list of publish %d: %w", slot, err)
	}
	return slices.Clone(d.prefixes[life.List]), nil
}

// addList writes a new list and returns its number, 0 for an empty one.
func (d *Datapath) addList(allow []netip.Prefix) (_ uint32, err error) {
	if len(allow) == 0 {
		return 0, nil
	}
	list, err := d.lists.allocate()
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(full(err), d.deleteList(list))
		}
	}()
	for _, p := range sortedPrefixes(allow) {
		if err = d.maps.Prefixes.Put(prefixKey(list, p), uint8(1)); err != nil {
			return 0, err
		}
		d.prefixes[list] = append(d.prefixes[list], p)
	}
	return list, nil
}

func (d *Datapath) deleteList(list uint32) error {
	if list == 0 {
		return nil
	}
	for _, p := range d.prefixes[list] {
		err := d.maps.Prefixes.Delete(prefixKey(list, p))
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete source list: %w", err)
		}
	}
	delete(d.prefixes, list)
	d.lists.release(list)
	return nil
}

// readLists finds the lists that publishes have, and deletes what an agent that
// died has left of others.
func (d *Datapath) readLists() error {
	all, err := entries[bpf.EbnetPrefixKey, uint8](d.maps.Prefixes)
	if err != nil {
		return err
	}
	for key := range all {
		list, prefix := fromPrefixKey(key)
		d.lists.take(list)
		d.prefixes[list] = append(d.prefixes[list], prefix)
	}
	used := map[uint32]bool{}
	for slot := range d.publishes.used {
		var life bpf.EbnetPublishSlot
		if err := d.maps.PublishSlots.Lookup(slot, &life); err != nil {
			return fmt.Errorf("read source list of publish %d: %w", slot, err)
		}
		used[life.List] = true
	}
	for list := range d.prefixes {
		if used[list] {
			slices.SortFunc(d.prefixes[list], netip.Prefix.Compare)
			continue
		}
		if err := d.deleteList(list); err != nil {
			return err
		}
	}
	return nil
}

// sortedPrefixes masks, orders and removes what stands there twice.
func sortedPrefixes(allow []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(allow))
	for _, p := range allow {
		out = append(out, p.Masked())
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

const (
	listBits = 32 // of a prefix_key, before its address
	v4Bits   = 96 // before an IPv4 address that is v4-mapped
)

func prefixKey(list uint32, p netip.Prefix) bpf.EbnetPrefixKey {
	bits, family := listBits+p.Bits(), uint32(0)
	if p.Addr().Is4() {
		bits, family = bits+v4Bits, 1
	}
	return bpf.EbnetPrefixKey{Bits: uint32(bits), List: toWord(list<<1 | family), Addr: toAddr16(p.Addr())}
}

func fromPrefixKey(k bpf.EbnetPrefixKey) (list uint32, p netip.Prefix) {
	addr, bits := fromAddr16(k.Addr), int(k.Bits)-listBits
	if toWord(k.List)&1 == 1 {
		addr, bits = addr.Unmap(), bits-v4Bits
	}
	return toWord(k.List) >> 1, netip.PrefixFrom(addr, bits)
}
