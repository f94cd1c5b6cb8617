package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Build compiles the binaries under test into a folder of their own, unless BinEnv
// names one already, and runs the tests. For a package's TestMain.
func Build(m *testing.M) int {
	removeStale()
	if os.Getenv(BinEnv) != "" || os.Geteuid() != 0 {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "ebt-bin-")
	if err != nil {
		fmt.Fprintf(os.Stderr, "make folder: %v\n", err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir, "./cmd/ebnet", "./test/lab/cmd/traffic")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build ebnet: %v\n%s", err, out)
		return 1
	}
	os.Setenv(BinEnv, dir)
	return m.Run()
}

// removeStale removes the namespaces and mounts of test processes that were killed.
func removeStale() {
	names, _ := filepath.Glob("/run/netns/ebt-*")
	for _, path := range names {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), "ebt-"), "-")
		n, err := strconv.Atoi(pid)
		if err != nil || syscall.Kill(n, 0) == nil {
			continue
		}
		shims := shimSockets(path)
		for _, left := range processesIn(path) {
			syscall.Kill(left, syscall.SIGKILL)
		}
		for _, socket := range shims {
			os.Remove(socket)
		}
		syscall.Unmount(path, syscall.MNT_DETACH)
		os.Remove(path)
		os.RemoveAll(filepath.Join("/etc/netns", filepath.Base(path)))
	}
	removeStaleDocker()
}
