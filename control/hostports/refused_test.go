package hostports

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// refusedEnv makes TestRefusedChild do its work.
const refusedEnv = "EBNET_TEST_REFUSED"

// Where ebnet's own program refuses every bind, the probe of a port that ebnet
// publishes on another address succeeds, and that of any other one does not.
func TestProbeRefusedByProgram(t *testing.T) {
	needRoot(t)
	dir := cgroup(t)
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.CGroupSock, AttachType: ebpf.AttachCGroupInet4PostBind, License: "GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, -int32(unix.EADDRINUSE)),
			asm.FnSetRetval.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInet4PostBind, Program: prog})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()

	cmd := exec.Command("/proc/self/exe", "-test.run=^TestRefusedChild$", "-test.v")
	cmd.Env = append(os.Environ(), refusedEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Cloneflags: unix.CLONE_NEWNET}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "refused as it should be") {
		t.Errorf("child: %v\n%s", err, out)
	}
}

func TestRefusedChild(t *testing.T) {
	if os.Getenv(refusedEnv) == "" {
		t.Skip("only run by TestProbeRefusedByProgram")
	}
	if err := Probe("tcp", all4, 80, 80); !errors.Is(err, ErrInUse) {
		t.Errorf("Probe = %v, want ErrInUse", err)
	}
	r := New()
	reserve(t, r, "web", "tcp", lan, 80, 80)
	reserve(t, r, "db", "tcp", all4, 80, 81) // before the probe, as an agent does
	p := Prober{Published: r.Published}
	if err := p.Probe("tcp", all4, 80, 80); err != nil {
		t.Errorf("Probe of a port that ebnet publishes on another address = %v", err)
	}
	if err := p.Probe("tcp", all4, 81, 81); !errors.Is(err, ErrInUse) {
		t.Errorf("Probe of a port that is only reserved for this = %v, want ErrInUse", err)
	}
	if err := p.Probe("udp", all4, 80, 80); !errors.Is(err, ErrInUse) {
		t.Errorf("Probe of another protocol = %v, want ErrInUse", err)
	}
	t.Log("refused as it should be")
}

// A port that ebnet publishes on another address can still be in use.
func TestProbePublishedElsewhere(t *testing.T) {
	inNetns(t, func() error {
		fd, err := spec{proto: "tcp", at: "127.0.0.1:80", listen: true}.open()
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		p := Prober{Published: func(string, netip.Addr, uint16) bool { return true }}
		if err := p.Probe("tcp", all4, 80, 80); !errors.Is(err, ErrInUse) {
			return fmt.Errorf("Probe = %w, want ErrInUse", err)
		}
		return nil
	})
}

// cgroup makes a cgroup2 group for the test alone.
func cgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		mount, fs, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(mount); strings.HasPrefix(fs, "cgroup2 ") && len(fields) > 4 {
			dir, err := os.MkdirTemp(fields[4], "ebnet-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := os.Remove(dir); err != nil {
					t.Error(err)
				}
			})
			return dir
		}
	}
	t.Fatal("no cgroup2 is mounted")
	return ""
}
