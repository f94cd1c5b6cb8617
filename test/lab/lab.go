// Package lab builds small worlds for end-to-end tests: machines are network
// namespaces, wires are veth pairs, a host runs its own ebnet agent, and real
// programs run on all of them. The machine's own namespace stays untouched, and a
// test that leaves anything behind fails.
package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// BinEnv names the folder with the binaries under test, ebnet and traffic.
const BinEnv = "EBNET_TEST_BIN"

// Lab is the world of one test.
type Lab struct {
	t        testing.TB
	prefix   string // of every namespace, unique to this test
	dir      string // of everything that is written
	bin      string
	machines []*Machine
	agents   []*Agent
	dockers  []*Docker
	procs    []*Proc
	seen     *footprint
}

// worlds counts the labs of this process, to tell their namespaces apart.
var worlds atomic.Int32

// NeedRoot skips a test without root, unless that is an error.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("EBNET_PRIVILEGED") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
}

// New makes an empty world that is taken down, and checked for leaks, when the
// test ends. Without root the test is skipped, or fails if EBNET_PRIVILEGED=1.
func New(t testing.TB) *Lab {
	t.Helper()
	NeedRoot(t)
	bin := os.Getenv(BinEnv)
	if bin == "" {
		t.Fatalf("%s is not set: the test's TestMain calls lab.Build", BinEnv)
	}
	// Not t.TempDir: its path is too long for a unix socket.
	dir, err := os.MkdirTemp("", "ebt-")
	if err != nil {
		t.Fatalf("make folder: %v", err)
	}
	l := &Lab{
		t:      t,
		prefix: fmt.Sprintf("ebt-%d-%d-", os.Getpid(), worlds.Add(1)),
		dir:    dir,
		bin:    bin,
		seen:   newFootprint(),
	}
	t.Cleanup(l.takeDown)
	return l
}

// Dir is a folder that lives as long as the test.
func (l *Lab) Dir() string { return l.dir }

// File writes a file into the test's folder and returns its path.
func (l *Lab) File(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		l.t.Fatalf("write %s: %v", name, err)
	}
	return path
}

// takeDown ends the engines, purges the agents, ends what still runs and removes the
// machines. The order is that of a careful administrator, so that what is left
// afterwards is a leak of ebnet's and not of the test's.
func (l *Lab) takeDown() {
	if l.t.Failed() {
		for _, a := range l.agents {
			l.t.Logf("log of the agent on %s:\n%s", a.Machine.Name, a.Log())
		}
	}
	l.seen.note(l)
	for _, d := range l.dockers {
		if l.t.Failed() {
			l.t.Logf("log of Docker on %s:\n%s", d.Machine.Name, d.Log())
		}
		for _, problem := range d.end() {
			l.t.Errorf("left behind: %s", problem)
		}
	}
	for _, a := range l.agents {
		a.purgeAtEnd()
	}
	for i := len(l.procs) - 1; i >= 0; i-- {
		l.procs[i].Kill()
	}
	for _, problem := range l.seen.leftBehind(l) {
		l.t.Errorf("left behind: %s", problem)
	}
	for _, m := range l.machines {
		m.remove()
	}
	for _, a := range l.agents {
		a.unmount()
	}
	for _, problem := range l.seen.kernelObjects() {
		l.t.Errorf("left behind: %s", problem)
	}
	if err := os.RemoveAll(l.dir); err != nil {
		l.t.Errorf("left behind: %v", err)
	}
}
