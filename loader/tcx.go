package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// tcxLink is a pinned link as found.
type tcxLink struct {
	link.Link
	path string
	info *link.Info
	// here says that the link holds a program on the device that its pin
	// names. It does not when the device is gone or has left the namespace.
	here bool
}

// openTCX opens a device's pinned link; nil if there is none.
func (f folder) openTCX(ifindex int, d direction) (_ *tcxLink, err error) {
	path := f.linkPin(tcxPin(d, ifindex))
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open link %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	info, err := l.Info()
	if err != nil {
		return nil, fmt.Errorf("read link %s: %w", path, err)
	}
	t := &tcxLink{Link: l, path: path, info: info}
	tcx := info.TCX()
	if tcx == nil || int(tcx.Ifindex) != ifindex {
		return t, nil
	}
	// Numbers of devices repeat from namespace to namespace: only the hook
	// itself tells whether the device is ours.
	programs, err := queryTCX(ifindex, d)
	if err != nil {
		return nil, err
	}
	t.here = slices.ContainsFunc(programs, func(p link.AttachedProgram) bool {
		id, ok := p.LinkID()
		return ok && id == info.ID
	})
	return t, nil
}

// drop takes the program off its hook at once, whoever else has the link open,
// and removes the pin. It closes the link.
func (t *tcxLink) drop() error {
	defer t.Close()
	if err := detachLink(t); err != nil {
		return err
	}
	return remove(t.path)
}

// queryTCX lists the programs on a hook, in the order in which they run; none
// if there is no such device.
func queryTCX(ifindex int, d direction) ([]link.AttachedProgram, error) {
	for {
		res, err := link.QueryPrograms(link.QueryOptions{Target: ifindex, Attach: d.tcx()})
		switch {
		case errors.Is(err, unix.ENODEV):
			return nil, nil
		case errors.Is(err, unix.ENOSPC):
			continue // somebody attached between the two halves of the query
		case err != nil:
			return nil, fmt.Errorf("query tcx %s of device %d: %w", d, ifindex, err)
		}
		return res.Programs, nil
	}
}

// attachTCX makes prog our only program on the hook. A link that is there takes
// it over in place; a new one goes before all others.
func (f folder) attachTCX(ifindex int, d direction, prog *ebpf.Program) error {
	old, err := f.openTCX(ifindex, d)
	if err != nil {
		return err
	}
	if old != nil && old.here {
		err := old.Update(prog)
		if err == nil {
			return old.Close()
		}
		if !errors.Is(err, unix.ENOLINK) { // else the device went this moment
			old.Close()
			return err
		}
	}
	if old != nil {
		if err := old.drop(); err != nil {
			return err
		}
	}
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: ifindex,
		Program:   prog,
		Attach:    d.tcx(),
		Anchor:    link.Head(),
	})
	if err != nil {
		return err
	}
	defer l.Close() // the pin holds it; without one this takes it off again
	if err := l.Pin(f.linkPin(tcxPin(d, ifindex))); err != nil {
		return fmt.Errorf("pin link: %w", err)
	}
	return nil
}

// detachTCX removes our link from the hook, if there is one.
func (f folder) detachTCX(ifindex int, d direction) error {
	t, err := f.openTCX(ifindex, d)
	if t == nil || err != nil {
		return err
	}
	return t.drop()
}
