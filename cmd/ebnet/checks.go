package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/firewall"
	"github.com/ebnet/ebnet/loader"
)

// The oldest kernel that ebnet is made for.
const (
	kernelMajor = 6
	kernelMinor = 1
)

// check is one line of `ebnet doctor`. It changes nothing on the machine.
type check func(context.Context) finding

func (a *app) checks() []check {
	return []check{
		checkKernel, checkBTF, checkRights, checkProgramTypes, checkJIT, checkTCX, checkBPFFS, checkCgroup,
		a.checkAgent, checkHooks, checkFirewall, a.checkDocker, a.checkDockerRules,
	}
}

func checkKernel(context.Context) finding {
	f := finding{Check: "kernel", Result: good}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return f.unknown(err)
	}
	f.Found = "Linux " + unix.ByteSliceToString(name.Release[:])
	if !newEnough(unix.ByteSliceToString(name.Release[:])) {
		f.Result, f.Advice = problem, fmt.Sprintf("install Linux %d.%d or newer", kernelMajor, kernelMinor)
	}
	return f
}

// newEnough reads a release such as 6.1.0-28-amd64.
func newEnough(release string) bool {
	parts := strings.FieldsFunc(release, func(c rune) bool { return c < '0' || c > '9' })
	if len(parts) < 2 {
		return false
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	return major > kernelMajor || major == kernelMajor && minor >= kernelMinor
}

func checkBTF(context.Context) finding {
	const path = "/sys/kernel/btf/vmlinux"
	f := finding{Check: "BTF", Result: good, Found: path}
	if _, err := os.Stat(path); err != nil {
		f.Result, f.Found, f.Advice = problem, "no "+path, "use a kernel built with CONFIG_DEBUG_INFO_BTF=y"
	}
	return f
}

func checkRights(context.Context) finding {
	f := finding{Check: "rights", Result: good, Found: "root"}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return f.unknown(err)
	}
	var missing []string
	for _, capability := range []struct {
		bit  uint
		name string
	}{{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_PERFMON, "CAP_PERFMON"}, {unix.CAP_BPF, "CAP_BPF"}} {
		if sets[capability.bit/32].Effective&(1<<(capability.bit%32)) == 0 {
			missing = append(missing, capability.name)
		}
	}
	if len(missing) > 0 {
		f.Result, f.Found, f.Advice = problem, "no "+strings.Join(missing, ", "), "run it as root; in a container, give it these capabilities"
	}
	return f
}

// checkProgramTypes asks the kernel for the kinds of programs that ebnet loads.
func checkProgramTypes(context.Context) finding {
	f := finding{Check: "program types", Result: good, Found: "tc, socket hooks"}
	for _, kind := range []ebpf.ProgramType{ebpf.SchedCLS, ebpf.CGroupSockAddr, ebpf.CGroupSock} {
		err := features.HaveProgramType(kind)
		if errors.Is(err, ebpf.ErrNotSupported) {
			f.Result, f.Found, f.Advice = problem, "no "+kind.String(), "use a kernel built with CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_ACT and CONFIG_CGROUP_BPF"
			return f
		}
		if err != nil {
			return f.unknown(err)
		}
	}
	return f
}

func checkJIT(context.Context) finding {
	f := finding{Check: "BPF JIT", Result: good, Found: "on"}
	value, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	if errors.Is(err, fs.ErrNotExist) {
		f.Found = "not shown in this network namespace"
		return f
	}
	if err != nil {
		return f.unknown(err)
	}
	if strings.TrimSpace(string(value)) == "0" {
		f.Result, f.Found, f.Advice = warning, "off", "sysctl -w net.core.bpf_jit_enable=1: packets are slow without"
	}
	return f
}

func checkTCX(context.Context) finding {
	f := finding{Check: "tcx", Result: good, Found: "yes"}
	if !mayQuery() {
		return f.unknown(fs.ErrPermission)
	}
	have, err := loader.HaveTCX()
	if err != nil {
		return f.unknown(err)
	}
	if !have {
		f.Found = "no: clsact is used (Linux 6.6 and newer have tcx)"
	}
	return f
}

func checkBPFFS(context.Context) finding {
	const path = "/sys/fs/bpf"
	f := finding{Check: "bpffs", Result: good, Found: "mounted at " + path}
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		f.Result, f.Found, f.Advice = problem, "no "+path, "mount sysfs at /sys, or give the agent another --bpffs"
		return f
	}
	if stat.Type != unix.BPF_FS_MAGIC {
		f.Found = "not mounted at " + path + ": the agent does it"
	}
	return f
}

func checkCgroup(context.Context) finding {
	f := finding{Check: "cgroup2", Result: good}
	path, err := loader.CgroupRoot()
	if err != nil {
		f.Result, f.Found, f.Advice = problem, err.Error(), "mount -t cgroup2 none /sys/fs/cgroup"
		return f
	}
	f.Found = "mounted at " + path
	return f
}

func (a *app) checkAgent(ctx context.Context) finding {
	f := finding{Check: "agent", Result: good}
	status, err := a.client().Status(ctx)
	switch {
	case errors.Is(err, api.ErrNoAgent):
		f.Found, f.Advice = "none at "+a.socketPath(), "start one with \"ebnet agent\""
	case err != nil:
		f.Result, f.Found = problem, err.Error()
	case len(status.Problems) > 0:
		f.Result, f.Found, f.Advice = warning, fmt.Sprintf("version %s, problems: %d", status.Version, len(status.Problems)), "see \"ebnet status\""
	default:
		f.Found = "version " + status.Version
	}
	return f
}

func checkFirewall(context.Context) finding {
	f := finding{Check: "host firewall", Result: good, Found: "lets in what no rule refuses"}
	denies, by, err := firewall.Denies()
	if err != nil {
		return f.unknown(err)
	}
	if denies {
		f.Result, f.Found = warning, by+" refuses by default"
		f.Advice = "published ports do not pass INPUT and FORWARD: list who may connect with --allow, or publish on one address"
	}
	return f
}

// unknown is a check that could not look.
// mayQuery tells whether the kernel answers questions about programs. Those who may
// not ask get answers that look like those of an older kernel.
func mayQuery() bool { return os.Geteuid() == 0 }

func (f finding) unknown(err error) finding {
	f.Result, f.Found = warning, "cannot tell: "+err.Error()
	if errors.Is(err, fs.ErrPermission) {
		f.Advice = "run it as root"
	}
	return f
}
