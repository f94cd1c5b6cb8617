package loader

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ebnet/ebnet/bpf"
)

// A map of another layout stops the agent before it touches anything.
func TestLayout(t *testing.T) {
	rows := []struct {
		name   string
		change func(*ebpf.MapSpec)
		want   string
	}{
		{"entries", func(m *ebpf.MapSpec) { m.MaxEntries++ }, "MaxEntries"},
		{"type", func(m *ebpf.MapSpec) { m.Type = ebpf.LRUHash; m.Flags = 0 }, "Type"},
		{"value", func(m *ebpf.MapSpec) { m.Value, m.ValueSize = nil, m.ValueSize+8 }, "ValueSize"},
		{"field", renameField, "struct endpoint: field was changed to"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			isolate(t)
			c := Config{Dir: testDir(t), NetnsCookie: thisNetns(t)}
			ctr := veth(t, "ctr", 0)
			l := open(t, c)
			must(t, l.AttachContainer(ctr))
			must(t, l.Close())
			pin := folder(c.Dir).mapPin(bpf.EbnetMapDevices)
			must(t, os.Remove(pin))
			pinChanged(t, pin, row.change)
			// A map that is missing must not be made, either.
			must(t, os.Remove(folder(c.Dir).mapPin(bpf.EbnetMapFlows)))
			before, pins := listed(t, c.Dir), names(t, folder(c.Dir).maps())

			_, err := Open(c)
			if !errors.Is(err, ErrLayout) {
				t.Fatalf("open: have %v, want ErrLayout", err)
			}
			for _, want := range []string{"map devices: ", row.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			equal(t, "attached", listed(t, c.Dir), before)
			equal(t, "maps", names(t, folder(c.Dir).maps()), pins)

			must(t, Purge(c.Dir))
			open(t, c)
		})
	}
}

// renameField leaves all sizes as they are.
func renameField(m *ebpf.MapSpec) {
	m.Value = btf.Copy(m.Value)
	s, _ := btf.As[*btf.Struct](m.Value)
	s.Members[0].Name = "was"
}

func pinChanged(t *testing.T, pin string, change func(*ebpf.MapSpec)) {
	t.Helper()
	spec, err := bpf.LoadEbnet()
	must(t, err)
	ms := spec.Maps[bpf.EbnetMapDevices]
	change(ms)
	m, err := ebpf.NewMap(ms)
	must(t, err)
	defer m.Close()
	must(t, m.Pin(pin))
}

func TestDiffTypes(t *testing.T) {
	u32, u16 := &btf.Int{Name: "__u32", Size: 4}, &btf.Int{Name: "__u16", Size: 2}
	pair := func(first string, t btf.Type) *btf.Struct {
		return &btf.Struct{Name: "pair", Size: 8, Members: []btf.Member{
			{Name: first, Type: t}, {Name: "b", Type: u32, Offset: 32},
		}}
	}
	of := func(n uint32, t btf.Type) *btf.Array { return &btf.Array{Index: u32, Type: t, Nelems: n} }
	rows := []struct {
		name       string
		want, have btf.Type
		diff       string
	}{
		{"same", pair("a", u32), pair("a", u32), ""},
		{"typedef", pair("a", u32), pair("a", &btf.Typedef{Name: "u32", Type: u32}), ""},
		{"renamed", pair("a", u32), pair("x", u32), "x: field x changed to a"},
		{"size", pair("a", u32), pair("a", u16), "x.a: "},
		{"nested", of(2, pair("a", u32)), of(2, pair("a", u16)), "x.a: "},
		{"longer", of(3, u32), of(2, u32), "x: 2 elements changed to 3"},
		{"kind", pair("a", of(1, u32)), pair("a", u32), ""},
		{"new", &btf.Struct{Members: []btf.Member{{Name: "n", Type: u32}}}, &btf.Struct{}, "x: field n is new"},
		{"gone", &btf.Struct{}, &btf.Struct{Members: []btf.Member{{Name: "n", Type: u32}}}, "x: field n is gone"},
		{"moved", pair("a", u32), &btf.Struct{Members: []btf.Member{
			{Name: "a", Type: u32, Offset: 32}, {Name: "b", Type: u32},
		}}, "x: field a moved"},
	}
	for _, row := range rows {
		diff := diffTypes("x", row.want, row.have)
		if row.diff == "" && diff != "" || !strings.HasPrefix(diff, strings.Replace(row.diff, "x: field x", "x: field x", 1)) {
			t.Errorf("%s: have %q, want %q", row.name, diff, row.diff)
		}
	}
}
