package loader

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// privileged skips a test that needs root, or fails it where the caller has
// promised root.
func privileged(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("EBNET_PRIVILEGED") == "1" {
		t.Fatal("needs root, and EBNET_PRIVILEGED=1 promises it")
	}
	t.Skip("needs root")
}

// isolate gives the test a thread of its own in network and mount namespaces of
// its own. The thread ends with the test's goroutine and takes both with it.
func isolate(t *testing.T) {
	t.Helper()
	privileged(t)
	runtime.LockOSThread()
	must(t, unix.Unshare(unix.CLONE_NEWNET|unix.CLONE_NEWNS))
	must(t, unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// testDir is a folder for a loader on a bpffs of the test's own.
func testDir(t *testing.T) string {
	t.Helper()
	point := t.TempDir()
	must(t, unix.Mount("none", point, "bpf", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(point, unix.MNT_DETACH)) })
	return filepath.Join(point, "ebnet")
}

// testCgroup is a cgroup of the test's own, with no process in it.
func testCgroup(t *testing.T) string {
	t.Helper()
	root, err := CgroupRoot()
	must(t, err)
	path, err := os.MkdirTemp(root, "ebnet-test-")
	must(t, err)
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// open opens a loader and closes it at the end of the test.
func open(t *testing.T, c Config) *Loader {
	t.Helper()
	if c.NetnsCookie == 0 {
		c.NetnsCookie = thisNetns(t)
	}
	l, err := Open(c)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// veth makes a pair, both ends up in the thread's namespace, and returns the
// number of the first end. The second has the name with a "p" behind it.
func veth(t *testing.T, name string, index int) int {
	t.Helper()
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name, Index: index},
		PeerName:  name + "p",
	}))
	for _, n := range []string{name + "p", name} {
		must(t, netlink.LinkSetUp(linkByName(t, n)))
	}
	return linkByName(t, name).Attrs().Index
}

func linkByName(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

// inOther runs f with the thread in a second network namespace and comes back.
func inOther(t *testing.T, ns netns.NsHandle, f func()) {
	t.Helper()
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	must(t, netns.Set(ns))
	defer func() { must(t, netns.Set(home)) }()
	f()
}

// thisNetns is the cookie of the namespace that the thread is in.
func thisNetns(t *testing.T) uint64 {
	t.Helper()
	cookie, err := netnsCookie()
	must(t, err)
	return cookie
}

// otherNetns makes a second network namespace; the thread stays where it is.
func otherNetns(t *testing.T) netns.NsHandle {
	t.Helper()
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	ns, err := netns.New()
	must(t, err)
	t.Cleanup(func() { ns.Close() })
	must(t, netns.Set(home))
	return ns
}

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

// eventually waits for what must come.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond) // leave the processor to others
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%+v", err)
	}
}

// attached is what the loader lists, short: "tcx/ingress 5 ebnet_from_ctr".
func attached(t *testing.T, l *Loader) []Attachment {
	t.Helper()
	found, err := l.Attached()
	must(t, err)
	return found
}

// on keeps the attachments of one device.
func on(ifindex int, all []Attachment) []Attachment {
	return slices.DeleteFunc(slices.Clone(all), func(a Attachment) bool { return a.Ifindex != ifindex })
}

// onHook are the names of the programs on a device's hook as the kernel runs
// them, whoever put them there: tcx first, then filters.
func onHook(t *testing.T, ifindex int, d direction) []string {
	t.Helper()
	names := []string{}
	programs, err := queryTCX(ifindex, d)
	must(t, err)
	for _, p := range programs {
		name, err := programName(p.ID)
		must(t, err)
		names = append(names, name)
	}
	fs, err := netlink.FilterList(device(ifindex), d.parent())
	must(t, err)
	for _, f := range fs {
		names = append(names, newFilterAttachment(f, ifindex, d).Program)
	}
	return names
}

// eachMode runs a test once with tcx and once with clsact.
func eachMode(t *testing.T, f func(*testing.T, Mode)) {
	for _, m := range []Mode{ModeTCX, ModeClsact} {
		t.Run(m.String(), func(t *testing.T) {
			isolate(t)
			if have, err := HaveTCX(); m == ModeTCX && !have {
				must(t, err)
				t.Skip("this kernel has no tcx")
			}
			f(t, m)
		})
	}
}

func equal[T comparable](t *testing.T, what string, have, want []T) {
	t.Helper()
	if !slices.Equal(have, want) {
		t.Errorf("%s: have %v, want %v", what, have, want)
	}
}

// qdiscs are the kinds of the qdiscs that hold filters in the namespace.
func qdiscs(t *testing.T) []string {
	t.Helper()
	kinds, err := qdiscKinds(nil)
	must(t, err)
	found := []string{}
	for _, kind := range kinds {
		found = append(found, kind)
	}
	return found
}

// names are what is in a folder.
func names(t *testing.T, path string) []string {
	t.Helper()
	found, err := list(path)
	must(t, err)
	return found
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
