package loader

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// AttachContainer puts ebnet_from_ctr on what the device receives: the device
// is the host's side of a container's veth. It is idempotent; a program of ours
// that belongs there no longer goes.
func (l *Loader) AttachContainer(ifindex int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.attach(ifindex, ingress, bpf.EbnetProgEbnetFromCtr); err != nil {
		return err
	}
	return l.detach(ifindex, egress)
}

// AttachBridge puts ebnet_to_br on what the host sends by a network's bridge, and
// ebnet_from_br on what it receives from it. It is idempotent.
func (l *Loader) AttachBridge(ifindex int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.attach(ifindex, ingress, bpf.EbnetProgEbnetFromBr); err != nil {
		return err
	}
	return l.attach(ifindex, egress, bpf.EbnetProgEbnetToBr)
}

// AttachUplink puts ebnet_from_ext on what the device receives and ebnet_to_ext
// on what it sends. It is idempotent.
func (l *Loader) AttachUplink(ifindex int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Egress first: no outside port is given out while nothing keeps the
	// host's own packets clear of it.
	if err := l.attach(ifindex, egress, bpf.EbnetProgEbnetToExt); err != nil {
		return err
	}
	return l.attach(ifindex, ingress, bpf.EbnetProgEbnetFromExt)
}

// Detach takes our programs off the device. It is no error if they, or the
// device, are gone.
func (l *Loader) Detach(ifindex int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.detach(ifindex, ingress), l.detach(ifindex, egress))
}

// attach makes the named program our only one on the hook. If an agent that
// attached in another way left one there, the new one comes before the old one
// goes.
func (l *Loader) attach(ifindex int, d direction, name string) error {
	err := l.place(ifindex, d, name)
	if err == nil && l.tcx {
		err = l.removeFilter(ifindex, d)
	} else if err == nil {
		err = l.links.detachTCX(ifindex, d)
	}
	if err != nil {
		return fmt.Errorf("attach %s to %s of device %d: %w", name, d, ifindex, err)
	}
	return nil
}

func (l *Loader) place(ifindex int, d direction, name string) error {
	if ifindex <= 0 {
		return errors.New("no such device")
	}
	if l.programs == nil {
		return ErrClosed
	}
	prog := devicePrograms(l.programs)[name]
	if l.tcx {
		return l.links.attachTCX(ifindex, d, prog)
	}
	return l.placeFilter(ifindex, d, prog, name)
}

// placeFilter attaches a filter and remembers it.
func (l *Loader) placeFilter(ifindex int, d direction, prog *ebpf.Program, name string) error {
	info, err := prog.Info()
	if err != nil {
		return fmt.Errorf("read program: %w", err)
	}
	made, err := l.dir.attachFilter(ifindex, d, prog, name)
	if made {
		l.marks[strconv.Itoa(ifindex)] = true
	}
	if err != nil {
		return err
	}
	l.filters[filterPlace{ifindex, d}], _ = info.ID()
	return nil
}

func (l *Loader) detach(ifindex int, d direction) error {
	err := errors.Join(l.links.detachTCX(ifindex, d), l.removeFilter(ifindex, d))
	if err != nil {
		return fmt.Errorf("detach from %s of device %d: %w", d, ifindex, err)
	}
	return nil
}

// removeFilter removes our filter from the hook, and our qdisc after it.
func (l *Loader) removeFilter(ifindex int, d direction) error {
	if err := detachFilter(ifindex, d); err != nil {
		return err
	}
	delete(l.filters, filterPlace{ifindex, d})
	mark := strconv.Itoa(ifindex)
	if !l.marks[mark] {
		return nil
	}
	released, err := l.dir.releaseQdisc(ifindex)
	if released {
		delete(l.marks, mark)
	}
	return err
}
