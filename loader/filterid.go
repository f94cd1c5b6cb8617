package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// filterPlace is a hook that a filter of ours is on.
type filterPlace struct {
	ifindex int
	dir     direction
}

// lostFilters are the hooks on which there is another program than the one that was
// put there, or none.
func (l *Loader) lostFilters() ([]string, error) {
	if len(l.filters) == 0 {
		return nil, nil
	}
	asker, err := newFilterAsker()
	if err != nil {
		return nil, err
	}
	defer asker.close()
	var out []string
	for at, want := range l.filters {
		have, err := asker.program(at)
		if err != nil {
			return nil, fmt.Errorf("look for the %s filter of device %d: %w", at.dir, at.ifindex, err)
		}
		if have != want && isThere(at.ifindex) {
			out = append(out, fmt.Sprintf("clsact-%s-%d", at.dir, at.ifindex))
		}
	}
	slices.Sort(out)
	return out, nil
}

// filterAsker asks the kernel for single filters. Done by the netlink library it costs
// twice as much, and to list what is on a device more still: with a thousand devices
// and a look every other second that counts.
type filterAsker struct {
	fd     int
	answer []byte
}

func newFilterAsker() (*filterAsker, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	// The kernel answers before a question's write returns; this is for what never is.
	timeout := unix.Timeval{Sec: 5}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set timeout: %w", err)
	}
	return &filterAsker{fd, make([]byte, 8<<10)}, nil
}

func (a *filterAsker) close() { unix.Close(a.fd) }

// program is the program of the filter in our place, 0 if there is none.
func (a *filterAsker) program(at filterPlace) (ebpf.ProgramID, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETTFILTER, 0)
	req.AddData(&nl.TcMsg{
		Family:  nl.FAMILY_ALL,
		Ifindex: int32(at.ifindex),
		Handle:  filterHandle,
		Parent:  at.dir.parent(),
		Info:    netlink.MakeHandle(filterPriority, nl.Swap16(unix.ETH_P_ALL)),
	})
	if _, err := unix.Write(a.fd, req.Serialize()); err != nil {
		return 0, fmt.Errorf("ask: %w", err)
	}
	n, err := unix.Read(a.fd, a.answer)
	if err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	msgs, err := syscall.ParseNetlinkMessage(a.answer[:n])
	if err != nil {
		return 0, fmt.Errorf("read answer: %w", err)
	}
	if len(msgs) != 1 || len(msgs[0].Data) < 4 {
		return 0, fmt.Errorf("read answer: %d messages in %d bytes", len(msgs), n)
	}
	data := msgs[0].Data
	if msgs[0].Header.Type == unix.NLMSG_ERROR {
		errno := unix.Errno(-int32(binary.NativeEndian.Uint32(data)))
		if isGone(errno) || errno == unix.EINVAL { // the latter without a qdisc
			return 0, nil
		}
		return 0, errno
	}
	if len(data) < nl.SizeofTcMsg {
		return 0, errors.New("read answer: it is too short")
	}
	options, err := attribute(data[nl.SizeofTcMsg:], nl.TCA_OPTIONS)
	if err != nil {
		return 0, err
	}
	id, err := attribute(options, nl.TCA_BPF_ID)
	if len(id) < 4 || err != nil {
		return 0, err // a filter that runs no program
	}
	return ebpf.ProgramID(binary.NativeEndian.Uint32(id)), nil
}

// attribute is the value of a netlink attribute, empty if it is not there.
func attribute(data []byte, kind uint16) ([]byte, error) {
	attrs, err := nl.ParseRouteAttr(data)
	if err != nil {
		return nil, fmt.Errorf("read attributes: %w", err)
	}
	for _, a := range attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK == kind {
			return a.Value, nil
		}
	}
	return nil, nil
}
