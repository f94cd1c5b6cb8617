package loader

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/ebnet/ebnet/bpf"
)

// Attachment is one program on one hook, as the kernel tells it.
type Attachment struct {
	Hook    string // "tcx/ingress", "clsact/egress", "cgroup/connect4", ...
	Ifindex int    // device, 0 for a cgroup hook
	Program string // name of the program; for a filter without one, its kind
	ID      uint32 // of the program, 0 for a filter without one
	LinkID  uint32 // 0 where no link holds it
}

// OnBridge says whether it is one that AttachBridge puts there.
func (a Attachment) OnBridge() bool {
	return a.Program == bpf.EbnetProgEbnetFromBr || a.Program == bpf.EbnetProgEbnetToBr
}

// direction is the side of a device that a program sits on.
type direction uint8

const (
	ingress direction = iota
	egress
)

// directions are both, for loops.
func directions() []direction { return []direction{ingress, egress} }

// String is the direction as it shows in hooks and pins.
func (d direction) String() string {
	if d == egress {
		return "egress"
	}
	return "ingress"
}

func (d direction) tcx() ebpf.AttachType {
	if d == egress {
		return ebpf.AttachTCXEgress
	}
	return ebpf.AttachTCXIngress
}

// parent is the clsact qdisc's end for the direction.
func (d direction) parent() uint32 {
	if d == egress {
		return netlink.HANDLE_MIN_EGRESS
	}
	return netlink.HANDLE_MIN_INGRESS
}

// tcxPin names the pin of a device's link.
func tcxPin(d direction, ifindex int) string {
	return fmt.Sprintf("tcx-%s-%d", d, ifindex)
}

// parseTCXPin reads what tcxPin writes.
func parseTCXPin(name string) (direction, int, bool) {
	for _, d := range directions() {
		rest, ok := strings.CutPrefix(name, "tcx-"+d.String()+"-")
		if !ok {
			continue
		}
		ifindex, err := strconv.Atoi(rest)
		if err != nil || ifindex <= 0 || name != tcxPin(d, ifindex) {
			return 0, 0, false
		}
		return d, ifindex, true
	}
	return 0, 0, false
}
