package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Where our filters sit. The priority is low, so that they run before what tc
// puts on a device by itself (49152 and down), and neither is what others take.
const (
	filterPriority = 3
	filterHandle   = 0xeb9e7
)

// programPrefix begins the name of every program of ebnet's.
const programPrefix = "ebnet_"

// attachFilter makes prog our filter on the hook, in place of an older one of
// ours without a gap. It says whether it made the qdisc, too. It wraps ErrTaken.
func (f folder) attachFilter(ifindex int, d direction, prog *ebpf.Program, name string) (made bool, err error) {
	old, err := slotFilter(ifindex, d)
	if err != nil {
		return false, err
	}
	switch {
	case old == nil:
		if made, err = f.makeQdisc(ifindex, d); err != nil {
			return made, err
		}
	case !isOurs(old):
		return false, fmt.Errorf("filter %#x of priority %d: %w", filterHandle, filterPriority, ErrTaken)
	}
	filter := &netlink.BpfFilter{
		FilterAttrs:  filterAttrs(ifindex, d),
		Fd:           prog.FD(),
		Name:         name,
		DirectAction: true,
	}
	if err := netlink.FilterReplace(filter); err != nil {
		return made, fmt.Errorf("replace filter: %w", err)
	}
	return made, nil
}

// detachFilter removes our filter from the hook, if there is one.
func detachFilter(ifindex int, d direction) error {
	old, err := slotFilter(ifindex, d)
	if err != nil || !isOurs(old) {
		return err
	}
	filter := &netlink.BpfFilter{FilterAttrs: filterAttrs(ifindex, d), Fd: -1}
	if err := netlink.FilterDel(filter); err != nil && !isGone(err) {
		return fmt.Errorf("remove filter: %w", err)
	}
	return nil
}

func filterAttrs(ifindex int, d direction) netlink.FilterAttrs {
	return netlink.FilterAttrs{
		LinkIndex: ifindex,
		Parent:    d.parent(),
		Handle:    filterHandle,
		Priority:  filterPriority,
		Protocol:  unix.ETH_P_ALL,
	}
}

// slotFilter is the filter where ours belongs; nil if there is none.
func slotFilter(ifindex int, d direction) (netlink.Filter, error) {
	all, err := filters(ifindex, d)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if inSlot(f) {
			return f, nil
		}
	}
	return nil, nil
}

// inSlot tells whether a filter is where ours belongs.
func inSlot(f netlink.Filter) bool {
	a := f.Attrs()
	return a.Handle == filterHandle && a.Priority == filterPriority
}

// isOurs tells whether a filter is ours: not only where it sits, but also that
// it runs a program of ours.
func isOurs(f netlink.Filter) bool {
	b, ok := f.(*netlink.BpfFilter)
	if !ok || !inSlot(b) {
		return false
	}
	name, err := programName(ebpf.ProgramID(b.Id))
	return err == nil && strings.HasPrefix(name, programPrefix)
}

// filters lists the filters on one side of a device; none if there is no such
// device.
func filters(ifindex int, d direction) ([]netlink.Filter, error) {
	found, err := dump(func() ([]netlink.Filter, error) {
		return netlink.FilterList(device(ifindex), d.parent())
	})
	if err != nil && !isGone(err) {
		return nil, fmt.Errorf("list %s filters of device %d: %w", d, ifindex, err)
	}
	if d == egress && len(found) > 0 {
		// An ingress qdisc has no egress, but shows its ingress filters for it.
		kind, err := qdiscKind(ifindex)
		if err != nil || kind != "clsact" {
			return nil, err
		}
	}
	return found, nil
}

// makeQdisc sees to it that the device has a clsact qdisc, and remembers
// whether it is ebnet who made it.
func (f folder) makeQdisc(ifindex int, d direction) (made bool, err error) {
	qdisc := &netlink.Clsact{QdiscAttrs: qdiscAttrs(ifindex)}
	addErr := netlink.QdiscAdd(qdisc)
	if addErr == nil {
		err := os.Mkdir(f.qdiscMark(ifindex), 0o700)
		// Where somebody has just removed the folder, Repin brings the mark with it.
		if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
			return true, fmt.Errorf("mark qdisc: %w", err)
		}
		return true, nil
	}
	kind, err := qdiscKind(ifindex)
	switch {
	case err != nil:
		return false, err
	case kind == "clsact", kind == "ingress" && d == ingress:
		return false, nil
	case kind == "ingress":
		return false, fmt.Errorf("ingress qdisc where clsact is needed: %w", ErrTaken)
	default:
		return false, fmt.Errorf("add clsact qdisc: %w", addErr)
	}
}

// releaseQdisc removes a qdisc that ebnet made, and its mark, unless it is in use,
// and says whether it has.
func (f folder) releaseQdisc(ifindex int) (released bool, err error) {
	kind, err := qdiscKind(ifindex)
	if err != nil {
		return false, err
	}
	if kind == "clsact" {
		for _, d := range directions() {
			if used, err := isUsed(ifindex, d); used || err != nil {
				return false, err
			}
		}
		qdisc := &netlink.Clsact{QdiscAttrs: qdiscAttrs(ifindex)}
		if err := netlink.QdiscDel(qdisc); err != nil && !isGone(err) {
			return false, fmt.Errorf("remove qdisc of device %d: %w", ifindex, err)
		}
	}
	return true, remove(f.qdiscMark(ifindex))
}

// forgetLostQdiscs removes the marks of qdiscs that went with their devices, so
// that no later device of the same number inherits them.
func (f folder) forgetLostQdiscs() error {
	marks, err := list(f.qdiscs())
	if err != nil || len(marks) == 0 {
		return err
	}
	kinds, err := qdiscKinds(nil)
	if err != nil {
		return err
	}
	for _, mark := range marks {
		ifindex, err := strconv.Atoi(mark)
		if err == nil && kinds[ifindex] == "clsact" {
			continue
		}
		if err := remove(filepath.Join(f.qdiscs(), mark)); err != nil {
			return err
		}
	}
	return nil
}

// isUsed tells whether anything is on one side of a clsact qdisc, also what
// the library cannot read.
func isUsed(ifindex int, d direction) (bool, error) {
	found, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETTFILTER, unix.NLM_F_DUMP)
		req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(ifindex), Parent: d.parent()})
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER)
	})
	if err != nil && !isGone(err) {
		return false, fmt.Errorf("list %s filters of device %d: %w", d, ifindex, err)
	}
	return len(found) > 0, nil
}

func qdiscAttrs(ifindex int) netlink.QdiscAttrs {
	return netlink.QdiscAttrs{
		LinkIndex: ifindex,
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}
}

// qdiscKind is the kind of the qdisc that holds a device's filters: "clsact",
// "ingress", or empty.
func qdiscKind(ifindex int) (string, error) {
	kinds, err := qdiscKinds(device(ifindex))
	return kinds[ifindex], err
}

// qdiscKinds are the kinds by device, of one device or, for nil, of all.
func qdiscKinds(of netlink.Link) (map[int]string, error) {
	found, err := dump(func() ([]netlink.Qdisc, error) { return netlink.QdiscList(of) })
	if err != nil && !isGone(err) {
		return nil, fmt.Errorf("list qdiscs: %w", err)
	}
	kinds := make(map[int]string)
	for _, q := range found {
		if a := q.Attrs(); a.Parent == netlink.HANDLE_CLSACT {
			kinds[a.LinkIndex] = q.Type()
		}
	}
	return kinds, nil
}

// device is all that the netlink library wants to know of a device.
func device(ifindex int) netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
}

// dump repeats a listing that changes cut short.
func dump[T any](f func() ([]T, error)) ([]T, error) {
	const tries = 20
	for i := 1; ; i++ {
		found, err := f()
		interrupted := errors.Is(err, netlink.ErrDumpInterrupted) || errors.Is(err, unix.EINTR)
		if !interrupted || i == tries {
			return found, err
		}
	}
}

// isGone tells the errors for what is not there any more.
func isGone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT)
}
