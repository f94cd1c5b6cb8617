package netdev

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childEnv marks the test process that runs in namespaces of its own.
const childEnv = "EBNET_NETDEV_TEST_CHILD"

// TestMain runs the tests again in a process with a network and a mount namespace
// and a /run of its own: whatever a test does, the machine's own stay as they are.
func TestMain(m *testing.M) {
	switch {
	case os.Geteuid() != 0:
		os.Exit(m.Run()) // what needs root skips
	case os.Getenv(childEnv) == "":
		os.Exit(runChild())
	}
	// The main thread stands for the process in /proc: no test may lock it.
	runtime.LockOSThread()
	os.Exit(runIsolated(m))
}

func runChild() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "run tests in namespaces of their own:", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

func runIsolated(m *testing.M) int {
	if err := privateRun(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	before, err := leftovers()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	after, err := leftovers()
	if err != nil || before != after {
		fmt.Fprintf(os.Stderr, "FAIL: left behind: before %s, after %s (%v)\n", before, after, err)
		return 1
	}
	return code
}

// privateRun gives the process an empty /run that nobody else sees.
func privateRun() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a /run: %w", err)
	}
	return nil
}

// leftovers says what a test could leave: links and named namespaces.
func leftovers() (string, error) {
	links, err := Links()
	if err != nil {
		return "", err
	}
	var names []string
	for _, l := range links {
		names = append(names, l.Name)
	}
	spaces, err := ListNetns()
	return fmt.Sprintf("links %v, namespaces %v", names, spaces), err
}
