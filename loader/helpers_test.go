package loader

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// privileged skips a test that needs root, or fails it where the caller has
// promised root.
func privileged(t testing.TB) {
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
func isolate(t testing.TB) {
	t.Helper()
	privileged(t)
	runtime.LockOSThread()
	must(t, unix.Unshare(unix.CLONE_NEWNET|unix.CLONE_NEWNS))
	must(t, unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// testDir is a folder for a loader on a bpffs of the test's own.
func testDir(t testing.TB) string {
	t.Helper()
	point := t.TempDir()
	must(t, unix.Mount("none", point, "bpf", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(point, unix.MNT_DETACH)) })
	return filepath.Join(point, "ebnet")
}

// testCgroup is a cgroup of the test's own, with no process in it.
func testCgroup(t testing.TB) string {
	t.Helper()
	root, err := CgroupRoot()
	must(t, err)
	path, err := os.MkdirTemp(root, "ebnet-test-")
	must(t, err)
	t.Cleanup(func() { os.Remove(path) })
	return path
}

// open opens a loader and closes it at the end of the test.
func open(t testing.TB, c Config) *Loader {
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
func veth(t testing.TB, name string, index int) int {
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

func linkByName(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

// inOther runs f with the thread in a second network namespace and comes back.
func inOther(t testing.TB, ns netns.NsHandle, f func()) {
	t.Helper()
	home, err := netns.Get()
	must(t, err)
	defer home.Close()
	must(t, netns.Set(ns))
	defer func() { must(t, netns.Set(home)) }()
	f()
}

// thisNetns is the cookie of the namespace that the thread is in.
func thisNetns(t testing.TB) uint64 {
	t.Helper()
	cookie, err := netnsCookie()
	must(t, err)
	return cookie
}

// otherNetns makes a second network namespace; the thread stays where it is.
func otherNetns(t testing.TB) netns.NsHandle {
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

// eventually waits for what must come.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond) // leave the processor to others
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%+v", err)
	}
}

// attached is what the loader lists.
func attached(t testing.TB, l *Loader) []Attachment {
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
func onHook(t testing.TB, ifindex int, d direction) []string {
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

func equal[T comparable](t testing.TB, what string, have, want []T) {
	t.Helper()
	if !slices.Equal(have, want) {
		t.Errorf("%s: have %v, want %v", what, have, want)
	}
}

// qdiscs are the kinds of the qdiscs that hold filters in the namespace.
func qdiscs(t testing.TB) []string {
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
func names(t testing.TB, path string) []string {
	t.Helper()
	found, err := list(path)
	must(t, err)
	return found
}
