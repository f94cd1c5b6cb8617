package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// checkLayout compares a pinned map with what the programs expect: its kind and
// sizes, and, as equal sizes may hide other fields, the types of its key and
// value. It wraps ErrLayout and says what differs.
func checkLayout(want *ebpf.MapSpec, have *ebpf.Map) error {
	keepSize(want, have)
	if err := want.Compatible(have); err != nil {
		return fmt.Errorf("%w: %w", ErrLayout, err)
	}
	handle, err := have.Handle()
	if errors.Is(err, ebpf.ErrNotSupported) {
		return nil // made without type information; sizes are all there is
	}
	if err != nil {
		return fmt.Errorf("read types: %w", err)
	}
	defer handle.Close()
	types, err := handle.Spec(nil)
	if err != nil {
		return fmt.Errorf("read types: %w", err)
	}
	for _, t := range []btf.Type{want.Key, want.Value} {
		s, ok := btf.As[*btf.Struct](t)
		if !ok {
			continue // a number, whose size has been compared
		}
		old, err := types.AnyTypesByName(s.Name)
		if err != nil {
			return fmt.Errorf("%w: struct %s: %w", ErrLayout, s.Name, err)
		}
		// A struct that is in both key and value is listed twice.
		for _, o := range old {
			if diff := diffTypes("struct "+s.Name, s, o); diff != "" {
				return fmt.Errorf("%w: %s", ErrLayout, diff)
			}
		}
	}
	return nil
}

// diffTypes names the first place where two types lay memory out differently,
// or nothing.
func diffTypes(where string, want, have btf.Type) string {
	want, have = btf.UnderlyingType(want), btf.UnderlyingType(have)
	switch w := want.(type) {
	case *btf.Struct:
		if h, ok := have.(*btf.Struct); ok {
			return diffMembers(where, w.Members, h.Members)
		}
	case *btf.Union:
		if h, ok := have.(*btf.Union); ok {
			return diffMembers(where, w.Members, h.Members)
		}
	case *btf.Array:
		if h, ok := have.(*btf.Array); ok {
			if w.Nelems != h.Nelems {
				return fmt.Sprintf("%s: %d elements changed to %d", where, h.Nelems, w.Nelems)
			}
			return diffTypes(where, w.Type, h.Type)
		}
	}
	wantSize, wantErr := btf.Sizeof(want)
	haveSize, haveErr := btf.Sizeof(have)
	if wantErr != nil || haveErr != nil || wantSize != haveSize {
		return fmt.Sprintf("%s: %v changed to %v", where, have, want)
	}
	return ""
}

func diffMembers(where string, want, have []btf.Member) string {
	for i := range max(len(want), len(have)) {
		switch {
		case i >= len(have):
			return fmt.Sprintf("%s: field %s is new", where, want[i].Name)
		case i >= len(want):
			return fmt.Sprintf("%s: field %s is gone", where, have[i].Name)
		case want[i].Name != have[i].Name:
			return fmt.Sprintf("%s: field %s changed to %s", where, have[i].Name, want[i].Name)
		case want[i].Offset != have[i].Offset || want[i].BitfieldSize != have[i].BitfieldSize:
			return fmt.Sprintf("%s: field %s moved", where, want[i].Name)
		}
		if diff := diffTypes(where+"."+want[i].Name, want[i].Type, have[i].Type); diff != "" {
			return diff
		}
	}
	return ""
}
