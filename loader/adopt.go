package loader

import (
	"fmt"

	"github.com/cilium/ebpf"

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
func survey(ls *links, cookie uint64) (leftovers, error) {
	var found leftovers
	pins, err := list(ls.dir.links())
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
			if _, err := ls.get(pin); err != nil {
				return found, err
			}
			continue
		}
		d, ifindex, ok := parseTCXPin(pin)
		if !ok {
			return found, fmt.Errorf("link %s: %w", pin, ErrVersion)
		}
		name, elsewhere, err := ls.lookTCX(ifindex, d)
		if err != nil {
			return found, err
		}
		alive = alive || elsewhere
		found.devices = append(found.devices, place{ifindex, d, name})
	}
	if err := checkNetns(ls.dir, cookie, alive); err != nil {
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
func (ls *links) lookTCX(ifindex int, d direction) (name string, elsewhere bool, err error) {
	t, err := ls.openTCX(ifindex, d)
	if t == nil || err != nil {
		return "", false, err
	}
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
	if err := l.dir.forgetLostQdiscs(); err != nil {
		return err
	}
	marks, err := list(l.dir.qdiscs())
	if err != nil {
		return err
	}
	for _, mark := range marks {
		l.marks[mark] = true
	}
	for _, p := range found.devices {
		var err error
		if p.program == "" {
			err = l.links.detachTCX(p.ifindex, p.dir)
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
		if err := l.links.updateSocket(pin, programs[pin]); err != nil {
			return err
		}
	}
	return nil
}

// updateSocket gives a socket hook its new program, or forgets it if its cgroup
// is gone.
func (ls *links) updateSocket(pin string, prog *ebpf.Program) error {
	l, err := ls.get(pin)
	if l == nil || err != nil {
		return err
	}
	info, err := l.Info()
	if err != nil {
		return fmt.Errorf("read link %s: %w", pin, err)
	}
	if !isOnCgroup(info) {
		return ls.drop(pin)
	}
	if err := l.Update(prog); err != nil {
		return fmt.Errorf("update link %s: %w", pin, err)
	}
	return nil
}
