package run

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/test/bench/tool"
	"github.com/ebnet/ebnet/test/lab"
)

// patience is how long a program may take beyond what it was told to.
const patience = 30 * time.Second

// process is a program on one of a world's machines.
type process struct {
	cmd  *exec.Cmd
	out  output // standard output
	errs output
	done chan struct{}
	err  error // once done is closed
}

// startTool runs the tool, which this binary is, too.
func startTool(m *lab.Machine, a tool.Args) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(m, append([]string{self, "tool"}, a.Words()...)...)
}

func start(m *lab.Machine, command ...string) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is this program's own
	if err := netdev.Do(m.Path, p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// wait waits for its end and returns what it has printed.
func (p *process) wait(limit time.Duration) ([]byte, error) {
	select {
	case <-p.done:
	case <-time.After(limit):
		p.kill()
		return nil, fmt.Errorf("%s hung for %v", p, limit)
	}
	if p.err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", p, p.err, p.errs.String(), p.out.String())
	}
	return []byte(p.out.String()), nil
}

// until waits until it has come so far.
func (p *process) until(ready func() bool) error {
	for deadline := time.Now().Add(patience); !ready(); time.Sleep(time.Millisecond) {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %v: %s%s", p, p.err, p.errs.String(), p.out.String())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %v", p, patience)
		}
	}
	return nil
}

func (p *process) untilSaid(text string) error {
	return p.until(func() bool { return strings.Contains(p.out.String(), text) })
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

func (p *process) String() string { return p.cmd.Path }

// output can be read while a program writes to it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
