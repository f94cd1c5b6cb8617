package loader

import (
	"testing"

	"github.com/ebnet/ebnet/bpf"
)

func TestCapacityFollowsMemory(t *testing.T) {
	for _, row := range []struct {
		memory                  uint64
		flows, fresh, publishes uint32
	}{
		{512 << 20, 1 << 17, 1 << 14, 1 << 17},
		{1 << 30, 1 << 17, 1 << 14, 1 << 17},
		{3<<30 + 1, 1 << 19, 1 << 16, 1 << 19},
		{1 << 40, 1 << 21, 1 << 17, 1 << 20},
	} {
		spec, err := bpf.LoadEbnet()
		must(t, err)
		must(t, scale(spec, row.memory))
		for name, want := range map[string]uint32{
			bpf.EbnetMapFlows: row.flows, bpf.EbnetMapFlowsNew: row.fresh, bpf.EbnetMapPublishes: row.publishes,
		} {
			if have := spec.Maps[name].MaxEntries; have != want {
				t.Errorf("%d bytes: %s has %d elements, want %d", row.memory, name, have, want)
			}
		}
	}
}

// On a machine with 1 GiB the maps of an idle agent leave most of 48 MB to its process, and
// an agent that starts with another memory keeps the maps that are there.
func TestSmallMachine(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t), NetnsCookie: thisNetns(t), Memory: 1 << 30}
	l := open(t, c)
	var sum uint64
	for name, m := range l.mapsByName() {
		info, err := m.Info()
		must(t, err)
		bytes, _ := info.Memlock() // a trie takes nothing before it holds something
		t.Logf("%-14s %9d", name, bytes)
		sum += bytes
	}
	if sum > 22e6 {
		t.Errorf("the maps take %d bytes", sum)
	}
	entries := l.Maps().Flows.MaxEntries()
	must(t, l.Close())
	c.Memory = 64 << 30
	again := open(t, c)
	if have := again.Maps().Flows.MaxEntries(); have != entries {
		t.Errorf("the flow table has %d places, had %d", have, entries)
	}
}
