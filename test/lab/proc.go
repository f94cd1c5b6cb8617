package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
)

// patience is how long a command may take before it counts as hung.
const patience = 90 * time.Second

// Result is what a command that ran to its end did.
type Result struct {
	Out, Err string
	Code     int // exit status, 128+N for signal N
}

// Run runs a command on the machine and returns its standard output. The test fails
// if the command does.
func (m *Machine) Run(args ...string) string {
	m.lab.t.Helper()
	res := m.Try(args...)
	if res.Code != 0 {
		m.lab.t.Fatalf("on %s: %s: exit status %d\n%s%s", m.Name, strings.Join(args, " "), res.Code, res.Out, res.Err)
	}
	return res.Out
}

// Try runs a command on the machine, whether it succeeds or not.
func (m *Machine) Try(args ...string) Result {
	m.lab.t.Helper()
	return m.lab.try(m.Path, args...)
}

// try runs a command in the namespace at path, in the test's own if path is empty.
func (l *Lab) try(path string, args ...string) Result {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.program(args[0]), args[1:]...)
	// What a killed command started may keep its output open.
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	start := cmd.Start
	if path != "" {
		start = func() error { return netdev.Do(path, cmd.Start) }
	}
	if err := start(); err != nil {
		l.t.Fatalf("start %s: %v", args[0], err)
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		l.t.Fatalf("%s: hung for %v\n%s%s", strings.Join(args, " "), patience, &out, &errs)
	}
	return Result{out.String(), errs.String(), exitStatus(err)}
}

// program finds the binaries under test by their names.
func (l *Lab) program(name string) string {
	if name == "ebnet" || name == "traffic" {
		return filepath.Join(l.bin, name)
	}
	return name
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		return -1
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return exit.ExitCode()
}

// Proc is a command that runs beside the test.
type Proc struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *lockedBuffer // standard output and standard error
	in   *os.File
	done chan struct{}
	err  error // once done is closed
}

// Start starts a command on the machine. It is killed when the test ends.
func (m *Machine) Start(args ...string) *Proc {
	m.lab.t.Helper()
	cmd := exec.Command(m.lab.program(args[0]), args[1:]...)
	return m.start(cmd)
}

func (m *Machine) start(cmd *exec.Cmd) *Proc {
	l := m.lab
	l.t.Helper()
	stdin, in, err := os.Pipe()
	if err != nil {
		l.t.Fatalf("make pipe: %v", err)
	}
	p := &Proc{t: l.t, cmd: cmd, out: &lockedBuffer{}, in: in, done: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, p.out, p.out
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	m.Do(cmd.Start)
	stdin.Close()
	l.procs = append(l.procs, p)
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p
}

// PID is the process's id.
func (p *Proc) PID() int { return p.cmd.Process.Pid }

// Output is what it has written so far.
func (p *Proc) Output() string { return p.out.String() }

// Running says whether it has not ended yet.
func (p *Proc) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// WaitFor waits until the output contains text.
func (p *Proc) WaitFor(text string) {
	p.t.Helper()
	Eventually(p.t, patience, func() error {
		if strings.Contains(p.Output(), text) {
			return nil
		}
		if !p.Running() {
			p.t.Fatalf("%s ended without saying %q:\n%s", p.cmd.Path, text, p.Output())
		}
		return fmt.Errorf("%s has not said %q:\n%s", p.cmd.Path, text, p.Output())
	})
}

// Tell writes a line to its standard input.
func (p *Proc) Tell(line string) {
	p.t.Helper()
	if _, err := p.in.WriteString(line + "\n"); err != nil {
		p.t.Fatalf("tell %s: %v", p.cmd.Path, err)
	}
}

// Wait waits for its end and returns the exit status.
func (p *Proc) Wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return exitStatus(p.err)
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended after %v:\n%s", p.cmd.Path, patience, p.Output())
		return -1
	}
}

// Signal sends a signal to the process alone.
func (p *Proc) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %s: %v", p.cmd.Path, err)
	}
}

// Kill ends it with all that it started, and waits for that. It does nothing if it
// has ended already.
func (p *Proc) Kill() {
	if p.Running() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.done
	p.in.Close()
}

// lockedBuffer is a buffer that can be read while a process writes to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
