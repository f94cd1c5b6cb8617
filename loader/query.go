package loader

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Attached lists our programs on the devices of this namespace and on the
// cgroup, as the kernel has them at this moment.
func (l *Loader) Attached() ([]Attachment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.links.attached()
}

func (ls *links) attached() ([]Attachment, error) {
	var found []Attachment
	for name := range ls.held {
		a, err := ls.readLink(name)
		if err != nil {
			return nil, err
		}
		if a != nil {
			found = append(found, *a)
		}
	}
	ours, err := ourFilters()
	if err != nil {
		return nil, err
	}
	for _, o := range ours {
		found = append(found, o.Attachment)
	}
	slices.SortFunc(found, func(a, b Attachment) int {
		return cmp.Or(cmp.Compare(a.Ifindex, b.Ifindex), cmp.Compare(a.Hook, b.Hook))
	})
	return found, nil
}

// readLink reads a held link; nil if it holds no program.
func (ls *links) readLink(name string) (*Attachment, error) {
	if d, ifindex, ok := parseTCXPin(name); ok {
		t, err := ls.openTCX(ifindex, d)
		if t == nil || err != nil || !t.here {
			return nil, err
		}
		return linkAttachment("tcx/"+d.String(), ifindex, t.info)
	}
	info, err := ls.held[name].Info()
	if err != nil {
		return nil, fmt.Errorf("read link %s: %w", name, err)
	}
	if !isOnCgroup(info) {
		return nil, nil
	}
	return linkAttachment("cgroup/"+strings.TrimPrefix(name, socketPrefix), 0, info)
}

func linkAttachment(hook string, ifindex int, info *link.Info) (*Attachment, error) {
	name, err := programName(info.Program)
	if err != nil {
		return nil, err
	}
	return &Attachment{hook, ifindex, name, uint32(info.Program), uint32(info.ID)}, nil
}

// filterAttachment is a filter with its side.
type filterAttachment struct {
	Attachment
	dir direction
}

// ourFilters lists our filters on all devices of this namespace.
func ourFilters() ([]filterAttachment, error) {
	kinds, err := qdiscKinds(nil)
	if err != nil {
		return nil, err
	}
	var found []filterAttachment
	for ifindex := range kinds {
		for _, d := range directions() {
			f, err := slotFilter(ifindex, d)
			if err != nil {
				return nil, err
			}
			if isOurs(f) {
				found = append(found, filterAttachment{newFilterAttachment(f, ifindex, d), d})
			}
		}
	}
	return found, nil
}

func newFilterAttachment(f netlink.Filter, ifindex int, d direction) Attachment {
	a := Attachment{Hook: "clsact/" + d.String(), Ifindex: ifindex, Program: f.Type()}
	if b, ok := f.(*netlink.BpfFilter); ok {
		a.ID = uint32(b.Id)
		if name, err := programName(ebpf.ProgramID(b.Id)); err == nil {
			a.Program = name
		}
	}
	return a
}

// Others lists what other people have on the device's hooks, in the order in
// which it runs.
func (l *Loader) Others(ifindex int) ([]Attachment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Attachment
	for _, d := range directions() {
		if l.haveTCX {
			others, err := l.links.otherTCX(ifindex, d)
			if err != nil {
				return nil, err
			}
			found = append(found, others...)
		}
		all, err := filters(ifindex, d)
		if err != nil {
			return nil, err
		}
		for _, f := range all {
			if !isOurs(f) {
				found = append(found, newFilterAttachment(f, ifindex, d))
			}
		}
	}
	return found, nil
}

func (ls *links) otherTCX(ifindex int, d direction) ([]Attachment, error) {
	programs, err := queryTCX(ifindex, d)
	if err != nil {
		return nil, err
	}
	var own link.ID
	t, err := ls.openTCX(ifindex, d)
	if err != nil {
		return nil, err
	}
	if t != nil {
		own = t.info.ID
	}
	var found []Attachment
	for _, p := range programs {
		id, held := p.LinkID()
		if held && id == own {
			continue
		}
		name, err := programName(p.ID)
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since
		}
		if err != nil {
			return nil, err
		}
		found = append(found, Attachment{"tcx/" + d.String(), ifindex, name, uint32(p.ID), uint32(id)})
	}
	return found, nil
}
