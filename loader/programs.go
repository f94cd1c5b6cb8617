package loader

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

// devicePrograms are the programs that belong on devices, by name.
func devicePrograms(p *bpf.EbnetPrograms) map[string]*ebpf.Program {
	return map[string]*ebpf.Program{
		bpf.EbnetProgEbnetFromCtr: p.EbnetFromCtr,
		bpf.EbnetProgEbnetFromBr:  p.EbnetFromBr,
		bpf.EbnetProgEbnetFromExt: p.EbnetFromExt,
		bpf.EbnetProgEbnetToExt:   p.EbnetToExt,
		bpf.EbnetProgEbnetToBr:    p.EbnetToBr,
	}
}

// isDeviceProgram tells whether a program of that name belongs on a device.
func isDeviceProgram(name string) bool {
	_, ok := devicePrograms(new(bpf.EbnetPrograms))[name]
	return ok
}

// socketHook is a hook of the cgroup and the program that belongs there.
type socketHook struct {
	name    string // as it shows in pins and Attachments
	attach  ebpf.AttachType
	program *ebpf.Program
}

const socketPrefix = "cgroup-"

func (h socketHook) pin() string { return socketPrefix + h.name }

func socketHooks(p *bpf.EbnetPrograms) []socketHook {
	return []socketHook{
		{"connect4", ebpf.AttachCGroupInet4Connect, p.EbnetConnect4},
		{"connect6", ebpf.AttachCGroupInet6Connect, p.EbnetConnect6},
		{"sendmsg4", ebpf.AttachCGroupUDP4Sendmsg, p.EbnetSendmsg4},
		{"sendmsg6", ebpf.AttachCGroupUDP6Sendmsg, p.EbnetSendmsg6},
		{"recvmsg4", ebpf.AttachCGroupUDP4Recvmsg, p.EbnetRecvmsg4},
		{"recvmsg6", ebpf.AttachCGroupUDP6Recvmsg, p.EbnetRecvmsg6},
		{"getpeername4", ebpf.AttachCgroupInet4GetPeername, p.EbnetGetpeer4},
		{"getpeername6", ebpf.AttachCgroupInet6GetPeername, p.EbnetGetpeer6},
		{"post_bind4", ebpf.AttachCGroupInet4PostBind, p.EbnetBind4},
		{"post_bind6", ebpf.AttachCGroupInet6PostBind, p.EbnetBind6},
	}
}

// programName asks the kernel for the name of a program.
func programName(id ebpf.ProgramID) (string, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", fmt.Errorf("open program %d: %w", id, err)
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", fmt.Errorf("read program %d: %w", id, err)
	}
	return info.Name, nil
}
