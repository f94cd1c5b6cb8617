package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/ebnet/ebnet/bpf"
)

// load loads the programs onto the pinned maps and makes and pins the maps that
// are not there yet. Pinning comes last: programs that the kernel refuses leave
// no pin behind.
func load(ls *links, c Config) (*bpf.EbnetMaps, *bpf.EbnetPrograms, error) {
	dir := ls.dir
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, nil, fmt.Errorf("raise memory limit: %w", err)
	}
	spec, err := bpf.LoadEbnet()
	if err != nil {
		return nil, nil, fmt.Errorf("read programs: %w", err)
	}
	if err := spec.Variables[bpf.EbnetVarCfgNetnsCookie].Set(c.NetnsCookie); err != nil {
		return nil, nil, fmt.Errorf("set namespace cookie: %w", err)
	}
	if err := scale(spec, c.Memory); err != nil {
		return nil, nil, err
	}
	csumV6, err := checksumFlag6()
	if err != nil {
		return nil, nil, err
	}
	if err := spec.Variables[bpf.EbnetVarCfgCsumV6].Set(csumV6); err != nil {
		return nil, nil, fmt.Errorf("set checksum flag: %w", err)
	}
	pinned, err := pinnedMaps(dir, spec)
	if err != nil {
		return nil, nil, err
	}
	defer closeMaps(pinned)
	if err := addLost(ls, spec, pinned); err != nil {
		return nil, nil, err
	}
	if err := limitHalfOpen(spec); err != nil {
		return nil, nil, err
	}

	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: pinned})
	if err != nil {
		return nil, nil, fmt.Errorf("load programs: %w", err)
	}
	defer coll.Close() // what is assigned below is no longer the collection's
	for name, m := range coll.Maps {
		if isInternal(name) || exists(dir.mapPin(name)) {
			continue
		}
		if err := m.Pin(dir.mapPin(name)); err != nil {
			return nil, nil, fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	var objects struct {
		bpf.EbnetPrograms
		bpf.EbnetMaps
	}
	if err := coll.Assign(&objects); err != nil {
		return nil, nil, fmt.Errorf("assign programs: %w", err)
	}
	return &objects.EbnetMaps, &objects.EbnetPrograms, nil
}

// isInternal tells a section of constants or variables, which belongs to the
// loaded programs, from a map.
func isInternal(name string) bool { return strings.HasPrefix(name, ".") }

// pinnedMaps opens the maps of the collection that are pinned already. It wraps
// ErrLayout.
func pinnedMaps(dir folder, spec *ebpf.CollectionSpec) (_ map[string]*ebpf.Map, err error) {
	pinned := make(map[string]*ebpf.Map)
	defer func() {
		if err != nil {
			closeMaps(pinned)
		}
	}()
	for name, ms := range spec.Maps {
		if isInternal(name) {
			continue
		}
		m, err := ebpf.LoadPinnedMap(dir.mapPin(name), nil)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open map %s: %w", name, err)
		}
		pinned[name] = m
		if err := checkLayout(ms, m); err != nil {
			return nil, fmt.Errorf("open map %s: %w", name, err)
		}
	}
	return pinned, nil
}

func closeMaps(maps map[string]*ebpf.Map) {
	for _, m := range maps {
		m.Close()
	}
}
