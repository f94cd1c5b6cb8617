package netdev

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNamedNetns(t *testing.T) {
	newHost(t)
	path := newSandbox(t, "web")

	if path != "/run/netns/web" || NetnsPath("web") != path {
		t.Errorf("path is %s, NetnsPath says %s", path, NetnsPath("web"))
	}
	own, err := NetnsID(threadNetns)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := NetnsID(path); err != nil || id == own {
		t.Errorf("NetnsID = %d, %v; own is %d", id, err, own)
	}
	if out, err := exec.Command("ip", "netns", "exec", "web", "ip", "-br", "link").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "lo ") {
		t.Errorf("ip netns exec: %v: %s", err, out)
	}
	if _, err := CreateNetns("web"); !errors.Is(err, ErrExists) {
		t.Errorf("second CreateNetns: %v, want ErrExists", err)
	}
	if id, err := NetnsID(path); err != nil || id == own {
		t.Errorf("second CreateNetns harmed the first: %d, %v", id, err)
	}

	for range 2 { // also when it is gone
		if err := DeleteNetns("web"); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("file is still there: %v", err)
	}
	if _, err := NetnsID(path); !errors.Is(err, ErrNotFound) {
		t.Errorf("NetnsID of a deleted one: %v, want ErrNotFound", err)
	}
}

// `ip netns` and ebnet have to see each other's namespaces.
func TestNamedNetnsWithIP(t *testing.T) {
	newHost(t)
	if out, err := exec.Command("ip", "netns", "add", "theirs").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	newSandbox(t, "ours")
	names, err := ListNetns()
	if err != nil || !slices.Equal(names, []string{"ours", "theirs"}) {
		t.Errorf("ListNetns = %v, %v", names, err)
	}
	if out, err := exec.Command("ip", "netns", "del", "ours").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if err := DeleteNetns("theirs"); err != nil {
		t.Error(err)
	}
	if names, err := ListNetns(); err != nil || len(names) != 0 {
		t.Errorf("ListNetns = %v, %v; want none", names, err)
	}
}

// Namespaces made at the same time share one mount of the folder, also the first
// ones ever, which race for it.
func TestNetnsDirIsOneSharedMount(t *testing.T) {
	needRoot(t)
	crowd := fmt.Sprintf("crowd%d-", os.Getpid()) // the machine's are in the list of mounts, too
	for round := range 20 {
		if err := unix.Unmount(netnsDir, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range 8 {
			all.Go(func() {
				<-start
				if _, err := CreateNetns(fmt.Sprint(crowd, i)); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		dirs, spaces := netnsMounts(t, crowd)
		if dirs != 1 || spaces != 8 {
			t.Errorf("round %d: %s is mounted %d times with %d namespaces, want 1 with 8", round, netnsDir, dirs, spaces)
		}
		for i := range 8 {
			if err := DeleteNetns(fmt.Sprint(crowd, i)); err != nil {
				t.Error(err)
			}
		}
	}
}

// netnsMounts counts how often the folder is mounted, which has to be shared, and
// the namespaces in it whose names begin so. Below the tests' own /run the machine's may
// be hidden.
func netnsMounts(t *testing.T, prefix string) (dirs, spaces int) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		switch {
		case f[4] == netnsDir && strings.Contains(line, " - tmpfs "):
			dirs++
			if !strings.HasPrefix(f[6], "shared:") {
				t.Errorf("not shared: %s", line)
			}
		case strings.HasPrefix(f[4], netnsDir+"/"+prefix):
			spaces++
		}
	}
	return dirs, spaces
}

func TestBadNetnsNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b", strings.Repeat("x", 256)} {
		if _, err := CreateNetns(name); err == nil {
			t.Errorf("CreateNetns(%q) succeeded", name)
		}
		if err := DeleteNetns(name); err == nil {
			t.Errorf("DeleteNetns(%q) succeeded", name)
		}
	}
}

func TestDo(t *testing.T) {
	newHost(t)
	path := newSandbox(t, "web")
	home, err := Cookie()
	if err != nil || home == 0 {
		t.Fatalf("Cookie = %d, %v", home, err)
	}

	failure := errors.New("failure")
	err = Do(path, func() error {
		there, err := Cookie()
		if err != nil || there == home {
			t.Errorf("Cookie inside = %d, %v; outside is %d", there, err, home)
		}
		return failure
	})
	if err != failure {
		t.Errorf("Do returned %v, want the error of its function as it is", err)
	}
	if back, err := Cookie(); err != nil || back != home {
		t.Errorf("Cookie afterwards = %d, %v; want %d", back, err, home)
	}

	func() {
		defer func() { _ = recover() }()
		_ = Do(path, func() error { panic("in there") })
	}()
	if back, err := Cookie(); err != nil || back != home {
		t.Errorf("Cookie after a panic = %d, %v; want %d", back, err, home)
	}
	if err := Do(NetnsPath("none"), func() error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("Do without namespace: %v, want ErrNotFound", err)
	}
}

// A thread that cannot come back must not be given to another goroutine.
func TestDoDiscardsLostThread(t *testing.T) {
	newHost(t)
	path := newSandbox(t, "web")
	var tid int
	result := make(chan error)
	go func() {
		result <- Do(path, func() error {
			tid = unix.Gettid()
			return dropCapabilities()
		})
	}()
	if err := <-result; !errors.Is(err, ErrThreadLost) {
		t.Fatalf("Do = %v, want ErrThreadLost", err)
	}
	eventually(t, "end of the lost thread", func() bool {
		runtime.Gosched()
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
		return os.IsNotExist(err)
	})
}

// dropCapabilities leaves the calling thread without rights.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

func TestProcesses(t *testing.T) {
	newHost(t)
	path := newSandbox(t, "web")
	if pids, err := Processes(path); err != nil || len(pids) != 0 {
		t.Errorf("Processes = %v, %v; want none", pids, err)
	}

	cmd := exec.Command("cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := Do(path, cmd.Start); err != nil {
		t.Fatal(err)
	}
	if pids, err := Processes(path); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("Processes = %v, %v; want %d", pids, err, cmd.Process.Pid)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := Processes(NetnsPath("none")); !errors.Is(err, ErrNotFound) {
		t.Errorf("Processes without namespace: %v, want ErrNotFound", err)
	}
}

func TestCreateNetnsCleansUp(t *testing.T) {
	newHost(t)
	newSandbox(t, "first") // the folder is there
	// In a mount namespace without /proc there is nothing to bind the name to.
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount("/proc", unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateNetns("web"); err == nil {
		t.Fatal("CreateNetns succeeded")
	}
	if names, err := ListNetns(); err != nil || !slices.Equal(names, []string{"first"}) {
		t.Errorf("ListNetns = %v, %v", names, err)
	}
}
