package lab

import (
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/control/api"
)

// Agent is the ebnet agent of one machine, with its own state, socket, bpffs and
// prefix, so that many run side by side on one kernel.
type Agent struct {
	Machine *Machine
	Prefix  string // of its sandboxes' namespaces

	lab   *Lab
	dir   string
	flags []string
	proc  *Proc
	procs []*Proc // with those before it, for their logs
}

// Agent starts an agent on the machine, with more flags if given, and waits until it
// is ready.
func (m *Machine) Agent(flags ...string) *Agent {
	m.lab.t.Helper()
	l := m.lab
	a := &Agent{
		Machine: m,
		Prefix:  l.prefix + m.Name + "-",
		lab:     l,
		dir:     filepath.Join(l.dir, m.Name),
		flags:   flags,
	}
	bpffs := filepath.Join(a.dir, "bpf")
	if err := os.MkdirAll(bpffs, 0o755); err != nil {
		l.t.Fatalf("make folder: %v", err)
	}
	if err := unix.Mount("bpf", bpffs, "bpf", 0, ""); err != nil {
		l.t.Fatalf("mount bpffs: %v", err)
	}
	l.agents = append(l.agents, a)
	a.Start()
	return a
}

// Start starts the agent, after it was stopped or killed, and waits until it is ready.
func (a *Agent) Start() {
	a.lab.t.Helper()
	a.proc = a.Machine.Start(slices.Concat([]string{"ebnet", "agent"}, a.place(), a.flags)...)
	a.procs = append(a.procs, a.proc)
	if res := a.Try("status", "--wait", "30s"); res.Code != 0 {
		a.lab.t.Fatalf("agent on %s is not ready: %s\n%s", a.Machine.Name, res.Err, a.Log())
	}
}

// Pins is the folder of the agent's pinned maps and links.
func (a *Agent) Pins() string { return filepath.Join(a.dir, "bpf", "ebnet") }

// PID is the agent's process id.
func (a *Agent) PID() int { return a.proc.PID() }

// Log is what the agent has logged, before restarts too.
func (a *Agent) Log() string {
	var b strings.Builder
	for _, p := range a.procs {
		b.WriteString(p.Output())
	}
	return b.String()
}

// Kill ends the agent the hard way.
func (a *Agent) Kill() {
	a.lab.t.Helper()
	a.proc.Signal(syscall.SIGKILL)
	a.proc.Wait()
}

// Stop ends the agent with SIGTERM.
func (a *Agent) Stop() {
	a.lab.t.Helper()
	a.proc.Signal(syscall.SIGTERM)
	if code := a.proc.Wait(); code != 0 {
		a.lab.t.Fatalf("agent on %s ended with status %d\n%s", a.Machine.Name, code, a.Log())
	}
}

// Purge removes all that the agent has put into the kernel, and the agent.
func (a *Agent) Purge() {
	a.lab.t.Helper()
	a.lab.seen.note(a.lab)
	a.Ebnet("purge")
	a.proc.Wait()
}

// Ebnet runs an ebnet command against the agent and returns its standard output. The
// test fails if the command does.
func (a *Agent) Ebnet(args ...string) string {
	a.lab.t.Helper()
	return a.Machine.Run(a.command(args)...)
}

// Try runs an ebnet command against the agent, whether it succeeds or not.
func (a *Agent) Try(args ...string) Result {
	a.lab.t.Helper()
	return a.Machine.Try(a.command(args)...)
}

// command gives the flags that lead to this agent. A purge wants all that the agent was
// started with, as there may be no agent to ask.
func (a *Agent) command(args []string) []string {
	command := []string{"ebnet", args[0]}
	if args[0] == "purge" {
		command = append(command, a.place()...)
	} else {
		command = append(command, "--socket", a.Socket())
	}
	return append(command, args[1:]...)
}

// place gives the flags that keep this agent apart from others.
func (a *Agent) place() []string {
	return []string{
		"--state", a.StateDir(),
		"--run", a.RunDir(),
		"--bpffs", a.Pins(),
		"--netns-prefix", a.Prefix,
	}
}

// StateDir, RunDir and Socket are the agent's folders and its socket.
func (a *Agent) StateDir() string { return filepath.Join(a.dir, "state") }
func (a *Agent) RunDir() string   { return filepath.Join(a.dir, "run") }
func (a *Agent) Socket() string   { return filepath.Join(a.RunDir(), "ebnet.sock") }

// JSON runs an ebnet command that prints JSON and decodes it into v.
func (a *Agent) JSON(v any, args ...string) {
	a.lab.t.Helper()
	out := a.Ebnet(args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		a.lab.t.Fatalf("ebnet %s: %v in\n%s", strings.Join(args, " "), err, out)
	}
}

// Status is what `ebnet status` says.
func (a *Agent) Status() api.Status {
	a.lab.t.Helper()
	var status api.Status
	a.JSON(&status, "status", "-o", "json")
	return status
}

// Network is what `ebnet network inspect` says of one network.
func (a *Agent) Network(name string) api.Network {
	a.lab.t.Helper()
	var networks []api.Network
	a.JSON(&networks, "network", "inspect", name)
	return networks[0]
}

// Gateway is the address of the default network's gateway.
func (a *Agent) Gateway() netip.Addr {
	a.lab.t.Helper()
	return a.Network("default").Gateways[0]
}

// Sandbox is one of the agent's sandboxes, as a machine to work on.
type Sandbox struct {
	*Machine
	Addr netip.Addr // the first that it has

	Addr6 netip.Addr // the first that it has of IPv6

	Info api.Sandbox
	Proc *Proc // of `ebnet run`; nil for a sandbox that was created
}

// Create creates a sandbox, with more flags of `ebnet sandbox create` if given.
func (a *Agent) Create(name string, flags ...string) *Sandbox {
	a.lab.t.Helper()
	a.Ebnet(append([]string{"sandbox", "create", name}, flags...)...)
	return a.Sandbox(name)
}

// RunIn starts `ebnet run --name NAME FLAGS -- COMMAND` and waits until the sandbox is
// there. What the command needs longer for, the test has to wait for.
func (a *Agent) RunIn(name string, flags []string, command ...string) *Sandbox {
	a.lab.t.Helper()
	args := append([]string{"run", "--name", name}, flags...)
	args = append(args, "--", a.lab.program(command[0]))
	args = a.command(append(args, command[1:]...))
	proc := a.Machine.start(exec.Command(a.lab.program("ebnet"), args[1:]...))
	Eventually(a.lab.t, patience, func() error {
		res := a.Try("sandbox", "inspect", name)
		if res.Code == 0 {
			return nil
		}
		if !proc.Running() {
			a.lab.t.Fatalf("ebnet %s ended:\n%s", strings.Join(args, " "), proc.Output())
		}
		return &api.Error{Message: res.Err}
	})
	s := a.Sandbox(name)
	s.Proc = proc
	return s
}

// Sandbox finds a sandbox that is there.
func (a *Agent) Sandbox(name string) *Sandbox {
	a.lab.t.Helper()
	var infos []api.Sandbox
	a.JSON(&infos, "sandbox", "inspect", name)
	s := &Sandbox{
		Machine: &Machine{Name: name, Path: infos[0].Netns, lab: a.lab},
		Info:    infos[0],
	}
	if len(s.Info.Endpoints) > 0 {
		s.Addr = s.Info.Endpoints[0].Addresses[0].Addr()
	}
	for _, e := range slices.Backward(s.Info.Endpoints) {
		for _, p := range e.Addresses {
			if p.Addr().Is6() {
				s.Addr6 = p.Addr()
			}
		}
	}
	return s
}

// MasqueradePorts narrows the ports that masquerade chooses from, where a source's own
// is taken, until the agent starts again.
func (a *Agent) MasqueradePorts(first, last uint16) {
	a.lab.t.Helper()
	config, err := ebpf.LoadPinnedMap(filepath.Join(a.Pins(), "v1", "maps", "config"), nil)
	if err != nil {
		a.lab.t.Fatalf("open settings: %v", err)
	}
	defer config.Close()
	var settings bpf.EbnetSettings
	if err := config.Lookup(uint32(0), &settings); err != nil {
		a.lab.t.Fatalf("read settings: %v", err)
	}
	settings.PortMin, settings.PortMax = first, last
	if err := config.Put(uint32(0), settings); err != nil {
		a.lab.t.Fatalf("write settings: %v", err)
	}
}

// purgeAtEnd takes the agent out if the test has not.
func (a *Agent) purgeAtEnd() {
	if _, err := os.Stat(a.Pins()); err != nil && !a.proc.Running() {
		return
	}
	if res := a.Try("purge", "--all"); res.Code != 0 {
		a.lab.t.Errorf("purge on %s: %s", a.Machine.Name, res.Err)
	}
}

// unmount removes the agent's bpffs.
func (a *Agent) unmount() {
	if err := unix.Unmount(filepath.Dir(a.Pins()), 0); err != nil {
		a.lab.t.Errorf("unmount bpffs of %s: %v", a.Machine.Name, err)
		unix.Unmount(filepath.Dir(a.Pins()), unix.MNT_DETACH)
	}
}

// Idle waits until the agent has seen to all that the test has changed so far, or what is
// harmed next would be repaired by chance.
func (a *Agent) Idle() {
	a.lab.t.Helper()
	const quiet = 2 * time.Second
	last, since := -1.0, time.Now()
	Eventually(a.lab.t, patience, func() error {
		if n := a.Scrape().Sum("ebnet_reconcile_duration_seconds_count"); n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) < quiet {
			return Still("the agent is busy")
		}
		return nil
	})
}

// Ports are what the agent has published.
func (a *Agent) Ports() []api.Publish {
	a.lab.t.Helper()
	var ports []api.Publish
	a.JSON(&ports, "port", "-o", "json")
	return ports
}
