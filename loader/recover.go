package loader

import (
	"errors"
	"fmt"
	"io/fs"
	stdmaps "maps"
	"os"
	"reflect"
	"slices"

	"github.com/cilium/ebpf"
)

// addLost finds the maps whose pins somebody has removed while programs on the hooks
// still use them: new, empty ones beside the old would be half a state. It wraps
// ErrLayout.
func addLost(ls *links, spec *ebpf.CollectionSpec, maps map[string]*ebpf.Map) error {
	lost := func(name string) bool {
		_, ours := spec.Maps[name]
		return ours && !isInternal(name) && maps[name] == nil
	}
	if !slices.ContainsFunc(slices.Collect(stdmaps.Keys(spec.Maps)), lost) {
		return nil
	}
	all, err := ls.attached()
	if err != nil {
		return err
	}
	seen := map[uint32]bool{} // one program serves all devices of its kind
	for _, at := range all {
		if at.ID == 0 || seen[at.ID] {
			continue
		}
		seen[at.ID] = true
		err := eachMap(ebpf.ProgramID(at.ID), func(name string, m *ebpf.Map) (err error) {
			if !lost(name) {
				return nil
			}
			if err := checkLayout(spec.Maps[name], m); err != nil {
				return fmt.Errorf("map %s: %w", name, err)
			}
			maps[name], err = m.Clone()
			return err
		})
		if err != nil {
			return fmt.Errorf("recover maps of program %s: %w", at.Program, err)
		}
	}
	return nil
}

// eachMap calls a function with every map that a program uses.
func eachMap(id ebpf.ProgramID, f func(name string, m *ebpf.Map) error) error {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return err
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return err
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return err
		}
		err = errors.Join(named(m, f), m.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func named(m *ebpf.Map, f func(name string, m *ebpf.Map) error) error {
	info, err := m.Info()
	if err != nil {
		return err
	}
	return f(info.Name, m)
}

// pinMap pins a map whose pin is gone.
func (l *Loader) pinMap(name string) error {
	// A copy: the map itself remembers its pin, and takes it to be there.
	again, err := l.mapsByName()[name].Clone()
	if err != nil {
		return fmt.Errorf("pin map %s: %w", name, err)
	}
	if err := errors.Join(again.Pin(l.dir.mapPin(name)), again.Close()); err != nil {
		return fmt.Errorf("pin map %s: %w", name, err)
	}
	return nil
}

// mapsByName are the maps by the names that they are pinned by.
func (l *Loader) mapsByName() map[string]*ebpf.Map {
	out := map[string]*ebpf.Map{}
	v := reflect.ValueOf(l.maps).Elem()
	for i := range v.NumField() {
		if m, ok := v.Field(i).Interface().(*ebpf.Map); ok {
			out[v.Type().Field(i).Tag.Get("ebpf")] = m
		}
	}
	return out
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
