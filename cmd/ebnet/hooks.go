package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// ownPrefix is what the names of ebnet's programs begin with.
const ownPrefix = "ebnet_"

// checkHooks looks for other people's programs on the hooks of interfaces that
// lead outside.
func checkHooks(context.Context) finding {
	f := finding{Check: "hooks", Result: good, Found: "no programs of others"}
	if !mayQuery() {
		return f.unknown(fs.ErrPermission)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return f.unknown(err)
	}
	var others []string
	for _, device := range interfaces {
		if !leadsOutside(device) {
			continue
		}
		for _, read := range []func(net.Interface) ([]string, error){tcxPrograms, tcFilters} {
			names, err := read(device)
			if err != nil {
				return f.unknown(err)
			}
			for _, name := range names {
				if !strings.HasPrefix(name, ownPrefix) {
					others = append(others, device.Name+" has "+name)
				}
			}
		}
	}
	if len(others) > 0 {
		f.Result, f.Found = warning, strings.Join(others, ", ")
		f.Advice = "they stay and see what ebnet passes on; check that they do not take or change the same packets"
	}
	return f
}

// leadsOutside tells whether an interface has an address that others can reach.
func leadsOutside(device net.Interface) bool {
	if device.Flags&net.FlagLoopback != 0 {
		return false
	}
	addresses, err := device.Addrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		if prefix, ok := address.(*net.IPNet); ok && prefix.IP.IsGlobalUnicast() {
			return true
		}
	}
	return false
}

// tcxPrograms names the programs on the device's tcx hooks; none on a kernel
// without tcx.
func tcxPrograms(device net.Interface) ([]string, error) {
	var names []string
	for _, hook := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		result, err := link.QueryPrograms(link.QueryOptions{Target: device.Index, Attach: hook})
		if errors.Is(err, ebpf.ErrNotSupported) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list programs of %s: %w", device.Name, err)
		}
		for _, attached := range result.Programs {
			name, err := programName(attached.ID)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

func programName(id ebpf.ProgramID) (string, error) {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", fmt.Errorf("open program %d: %w", id, err)
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return "", fmt.Errorf("read program %d: %w", id, err)
	}
	if info.Name == "" {
		return fmt.Sprintf("program %d", id), nil
	}
	return info.Name, nil
}

// tcFilters names the device's filters at clsact or an ingress qdisc.
func tcFilters(device net.Interface) ([]string, error) {
	owner, err := netlink.LinkByIndex(device.Index)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", device.Name, err)
	}
	var names []string
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(owner, parent)
		if err != nil {
			return nil, fmt.Errorf("list filters of %s: %w", device.Name, err)
		}
		for _, filter := range filters {
			if program, ok := filter.(*netlink.BpfFilter); ok {
				names = append(names, program.Name)
			} else {
				names = append(names, filter.Type()+" filter")
			}
		}
	}
	return names, nil
}
