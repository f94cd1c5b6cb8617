package loader

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/ebnet/ebnet/bpf"
)

// place of a program that an earlier agent left on a device.
type place struct {
	ifindex int
	dir     direction
	program string // its name; empty for a link that holds none any more
}

// leftovers are what an earlier agent left attached.
type leftovers struct {
	devices []place
	sockets []string // pins of socket hooks
}

// survey finds what has to be taken over and changes nothing. It wraps
// ErrVersion if there is something that this version cannot take over, and
// ErrInUse if the folder serves devices of another namespace.
func survey(dir folder, cookie uint64) (leftovers, error) {
	var found leftovers
	pins, err := list(dir.links())
	if err != nil {
		return found, err
	}
	sockets := make(map[string]bool)
	for _, h := range socketHooks(new(bpf.EbnetPrograms)) {
		sockets[h.pin()] = true
	}
	alive := false
	for _, pin := range pins {
		if sockets[pin] {
			found.sockets = append(found.sockets, pin)
			continue
		}
		d, ifindex, ok := parseTCXPin(pin)
		if !ok {
			return found, fmt.Errorf("link %s: %w", pin, ErrVersion)
		}
		name, elsewhere, err := lookTCX(dir, ifindex, d)
		if err != nil {
			return found, err
		}
		alive = alive || elsewhere
		found.devices = append(found.devices, place{ifindex, d, name})
	}
	if err := checkNetns(dir, cookie, alive); err != nil {
		return found, err
	}
	filters, err := ourFilters()
	if err != nil {
		return found, err
	}
	for _, a := range filters {
		found.devices = append(found.devices, place{a.Ifindex, a.dir, a.Program})
	}
	return found, found.check()
}

// lookTCX names the program of a pinned link, nothing if the link holds none on
// its device, and tells whether it holds one on another device.
func lookTCX(dir folder, ifindex int, d direction) (name string, elsewhere bool, err error) {
	t, err := dir.openTCX(ifindex, d)
	if t == nil || err != nil {
		return "", false, err
	}
	defer t.Close()
	if !t.here {
		tcx := t.info.TCX()
		return "", tcx != nil && tcx.Ifindex != 0, nil
	}
	name, err = programName(t.info.Program)
	return name, false, err
}

// checkNetns keeps an agent of one namespace from taking over the devices of
// another. A namespace that is gone has left only dead links.
func checkNetns(dir folder, cookie uint64, alive bool) error {
	served, err := dir.served()
	if err != nil {
		return err
	}
	for _, other := range served {
		if other != cookie && alive {
			return fmt.Errorf("%w in another network namespace (cookie %d)", ErrInUse, other)
		}
	}
	return nil
}

// check sees to it that each program has a successor.
func (f leftovers) check() error {
	for _, p := range f.devices {
		if p.program != "" && !isDeviceProgram(p.program) {
			return fmt.Errorf("program %s on device %d: %w", p.program, p.ifindex, ErrVersion)
		}
	}
	return nil
}

// adopt gives the hooks that an earlier agent left their new programs.
func (l *Loader) adopt(found leftovers) error {
	for _, p := range found.devices {
		var err error
		if p.program == "" {
			err = l.dir.detachTCX(p.ifindex, p.dir)
		} else {
			err = l.attach(p.ifindex, p.dir, p.program)
		}
		if err != nil {
			return err
		}
	}
	programs := make(map[string]*ebpf.Program)
	for _, h := range socketHooks(l.programs) {
		programs[h.pin()] = h.program
	}
	for _, pin := range found.sockets {
		if err := l.dir.updateSocket(pin, programs[pin]); err != nil {
			return err
		}
	}
	return l.dir.forgetLostQdiscs()
}

// updateSocket gives a pinned socket hook its new program, or forgets it if its
// cgroup is gone.
func (f folder) updateSocket(pin string, prog *ebpf.Program) error {
	l, err := link.LoadPinnedLink(f.linkPin(pin), nil)
	if err != nil {
		return fmt.Errorf("open link %s: %w", pin, err)
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return fmt.Errorf("read link %s: %w", pin, err)
	}
	if c := info.Cgroup(); c == nil || c.CgroupId == 0 {
		return remove(f.linkPin(pin))
	}
	if err := l.Update(prog); err != nil {
		return fmt.Errorf("update link %s: %w", pin, err)
	}
	return nil
}
