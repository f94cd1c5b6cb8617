package loader

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stranger is somebody else's program: it counts packets and passes them on.
type stranger struct {
	*ebpf.Program
	counts *ebpf.Map
}

func newStranger(t *testing.T) stranger {
	t.Helper()
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	must(t, err)
	t.Cleanup(func() { counts.Close() })
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "stranger", Type: ebpf.SchedCLS, License: "MIT",
		Instructions: asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, counts.FD()),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Imm(asm.R1, 1),
			asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
			asm.Mov.Imm(asm.R0, -1).WithSymbol("out"),
			asm.Return(),
		},
	})
	must(t, err)
	t.Cleanup(func() { prog.Close() })
	return stranger{prog, counts}
}

// attach puts the stranger on the ingress of a device, first or last.
func (s stranger) attach(t *testing.T, ifindex int, where link.Anchor) {
	t.Helper()
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: ifindex, Program: s.Program, Attach: ebpf.AttachTCXIngress, Anchor: where,
	})
	must(t, err)
	t.Cleanup(func() { l.Close() })
}

// sees sends packets into the named device until the stranger has counted one
// more.
func (s stranger) sees(t *testing.T, name string) {
	t.Helper()
	var before, now uint64
	must(t, s.counts.Lookup(uint32(0), &before))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	frame := make([]byte, 60)
	binary.BigEndian.PutUint16(frame[12:], 0x88b5) // for experiments: the stack ignores it
	to := &unix.SockaddrLinklayer{Ifindex: linkByName(t, name+"p").Attrs().Index}
	eventually(t, "somebody else's program sees a packet", func() bool {
		must(t, unix.Sendto(fd, frame, 0, to))
		must(t, s.counts.Lookup(uint32(0), &now))
		return now > before
	})
}

// filterAt puts the stranger on the ingress of a device as a filter of the
// given priority.
func (s stranger) filterAt(t *testing.T, ifindex int, priority uint16) {
	t.Helper()
	must(t, netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex, Parent: ingress.parent(), Handle: 1, Priority: priority, Protocol: unix.ETH_P_ALL,
		},
		Fd: s.FD(), Name: "stranger", DirectAction: true,
	}))
}

// foreignSocketProgram lets every connect pass.
func foreignSocketProgram(t *testing.T) *ebpf.Program {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "stranger", Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	must(t, err)
	t.Cleanup(func() { prog.Close() })
	return prog
}
