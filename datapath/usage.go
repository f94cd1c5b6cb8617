package datapath

import (
	"errors"
	"fmt"
	"reflect"
	"syscall"

	"github.com/cilium/ebpf"
)

// MapUsage is one map and how full it is.
type MapUsage struct {
	Name    string
	Entries int    // of a hash map; of an array all there are
	Limit   int    // entries
	Bytes   uint64 // of kernel memory
}

// MapUsage describes every map, in the order of their declaration.
func (d *Datapath) MapUsage() ([]MapUsage, error) {
	var out []MapUsage
	all := reflect.ValueOf(d.maps).Elem()
	for i := range all.NumField() {
		m, ok := all.Field(i).Interface().(*ebpf.Map)
		if !ok {
			continue
		}
		u, err := usage(m)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

func usage(m *ebpf.Map) (MapUsage, error) {
	info, err := m.Info()
	if err != nil {
		return MapUsage{}, fmt.Errorf("read map info: %w", err)
	}
	bytes, _ := info.Memlock() // unknown to kernels that do not say: 0
	u := MapUsage{Name: info.Name, Limit: int(m.MaxEntries()), Bytes: bytes}
	switch m.Type() {
	case ebpf.Array, ebpf.PerCPUArray:
		u.Entries = u.Limit
		return u, nil
	}
	u.Entries, err = count(m)
	return u, err
}

// count walks the keys of a hash map.
func count(m *ebpf.Map) (int, error) {
	key := make([]byte, m.KeySize())
	n := 0
	err := m.NextKey(nil, key)
	for ; err == nil; n++ {
		err = m.NextKey(key, key)
	}
	if !errors.Is(err, ebpf.ErrKeyNotExist) {
		return 0, fmt.Errorf("count map %s: %w", mapName(m), err)
	}
	return n, nil
}

// mapName is the name that the kernel knows the map by.
func mapName(m *ebpf.Map) string {
	info, err := m.Info()
	if err != nil {
		return m.String()
	}
	return info.Name
}

// full turns the kernel's "no room in this map" into ErrFull.
func full(err error) error {
	if errors.Is(err, syscall.E2BIG) || errors.Is(err, syscall.ENOMEM) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
