package loader

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Flags of bpf_l4_csum_replace() in linux/bpf.h.
const (
	flagPseudoHeader = 1 << 4 // BPF_F_PSEUDO_HDR
	flagIPv6         = 1 << 7 // BPF_F_IPV6, since Linux 6.16
)

// checksumFlag6 is what programs have to tell bpf_l4_csum_replace() of IPv6 packets:
// BPF_F_IPV6, or 0 on a kernel that does not know it. The kernel is asked by a program
// that is run once on a packet of zeros, and so says of a backport, too.
func checksumFlag6() (uint64, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "ebnet_csum_try",
		Type: ebpf.SchedCLS,
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, 0), // offset of the checksum
			asm.Mov.Imm(asm.R3, 0),
			asm.Mov.Imm(asm.R4, 1), // to add
			asm.Mov.Imm(asm.R5, flagPseudoHeader|flagIPv6),
			asm.FnL4CsumReplace.Call(),
			asm.Return(),
		},
		License: "Dual BSD/GPL",
	})
	if err != nil {
		return 0, fmt.Errorf("ask for the kernel's checksum flags: %w", err)
	}
	defer prog.Close()
	ret, _, err := prog.Test(make([]byte, 64))
	if err != nil {
		return 0, fmt.Errorf("ask for the kernel's checksum flags: %w", err)
	}
	if ret != 0 { // -EINVAL
		return 0, nil
	}
	return flagIPv6, nil
}
