package loader

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/bpf"
)

// perGiB says how many elements a map has room for with each GiB of the machine's memory,
// up to what the programs say. These maps cost memory before they hold anything: 16 bytes
// a place where elements are made when they are needed, all of it in an LRU.
var perGiB = map[string]uint64{
	bpf.EbnetMapFlows:     1 << 17, // 2 MiB, 65,536 flows
	bpf.EbnetMapFlowsNew:  1 << 14, // 3.2 MiB
	bpf.EbnetMapPublishes: 1 << 17, // 2 MiB
	bpf.EbnetMapOrigins:   1 << 14, // 2 MiB
}

// totalMemory is that of the machine, in bytes.
func totalMemory() (uint64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("read the machine's memory: %w", err)
	}
	return info.Totalram * uint64(info.Unit), nil
}

// scale has capacities follow memory, in bytes, or the machine's where that is 0.
func scale(spec *ebpf.CollectionSpec, memory uint64) (err error) {
	if memory == 0 {
		if memory, err = totalMemory(); err != nil {
			return err
		}
	}
	gib := max(1, (memory+1<<30-1)>>30)
	for name, per := range perGiB {
		m := spec.Maps[name]
		m.MaxEntries = uint32(min(uint64(m.MaxEntries), per*gib))
	}
	return nil
}

// keepSize has the programs take a map as large as it is: it was made on a machine with
// another memory, or by another version.
func keepSize(want *ebpf.MapSpec, have *ebpf.Map) {
	if _, scaled := perGiB[want.Name]; scaled {
		want.MaxEntries = have.MaxEntries()
	}
}

// halfOpenShare: of so many places for halves one is for a half-open flow, which has two.
const halfOpenShare = 16

// limitHalfOpen tells the programs how many half-open flows the flow table takes.
func limitHalfOpen(spec *ebpf.CollectionSpec) error {
	limit := spec.Variables[bpf.EbnetVarCfgMaxHalfOpen]
	if err := limit.Set(min(uint32(1<<16), spec.Maps[bpf.EbnetMapFlows].MaxEntries/halfOpenShare)); err != nil {
		return fmt.Errorf("limit half-open flows: %w", err)
	}
	return nil
}
