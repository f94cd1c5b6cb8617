package loader

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// tcxLink is a link as found.
type tcxLink struct {
	link.Link
	info *link.Info
	// here says that the link holds a program on the device that its pin
	// names. It does not when the device is gone or has left the namespace.
	here bool
}

// openTCX finds a device's link; nil if there is none.
func (ls *links) openTCX(ifindex int, d direction) (*tcxLink, error) {
	name := tcxPin(d, ifindex)
	l, err := ls.get(name)
	if l == nil || err != nil {
		return nil, err
	}
	info, err := l.Info()
	if err != nil {
		return nil, fmt.Errorf("read link %s: %w", name, err)
	}
	t := &tcxLink{Link: l, info: info}
	if !isOnDevice(info, ifindex) {
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

// isOnDevice tells whether a link holds a program on a device of that number.
func isOnDevice(info *link.Info, ifindex int) bool {
	tcx := info.TCX()
	return tcx != nil && int(tcx.Ifindex) == ifindex
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
func (ls *links) attachTCX(ifindex int, d direction, prog *ebpf.Program) error {
	old, err := ls.openTCX(ifindex, d)
	if err != nil {
		return err
	}
	if old != nil && old.here {
		err := old.Update(prog)
		if !errors.Is(err, unix.ENOLINK) { // else the device went this moment
			return err
		}
	}
	if err := ls.detachTCX(ifindex, d); err != nil {
		return err
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
	return ls.put(tcxPin(d, ifindex), l)
}

// detachTCX removes our link from the hook, if there is one.
func (ls *links) detachTCX(ifindex int, d direction) error {
	return ls.drop(tcxPin(d, ifindex))
}
