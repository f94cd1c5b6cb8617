package lab

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ForeignPrograms puts programs of somebody else's on a device: a filter on clsact and,
// where the kernel has it, a tcx link. They pass everything on and stay until the test
// ends.
func (m *Machine) ForeignPrograms(dev string) {
	m.lab.t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "foreign",
		Type:         ebpf.SchedCLS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}, // TC_ACT_UNSPEC
		License:      "GPL",
	})
	if err != nil {
		m.lab.t.Fatalf("load program: %v", err)
	}
	m.lab.t.Cleanup(func() { prog.Close() })
	m.Do(func() error {
		device, err := netlink.LinkByName(dev)
		if err != nil {
			return err
		}
		index := device.Attrs().Index
		if err := netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0),
		}}); err != nil {
			return err
		}
		if err := netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 5, Priority: 7, Protocol: unix.ETH_P_ALL,
			},
			Fd: prog.FD(), Name: "foreign", DirectAction: true,
		}); err != nil {
			return err
		}
		ln, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			m.lab.t.Cleanup(func() { ln.Close() })
		}
		return nil
	})
}
