package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
)

// Machine is a network namespace: a host, somebody outside, or a sandbox.
type Machine struct {
	Name string // in the test's words
	Path string // of the namespace

	lab *Lab
}

// Machine makes an empty machine with nothing but lo, which is up. IPv4 forwarding
// is off, as it is on a host that never routed.
func (l *Lab) Machine(name string) *Machine {
	l.t.Helper()
	m := &Machine{Name: name, Path: filepath.Join("/run/netns", l.prefix+name), lab: l}
	l.machines = append(l.machines, m)
	l.ip("netns", "add", l.prefix+name)
	m.IP("link", "set", "lo", "up")
	m.Sysctl("net.ipv4.ip_forward", "0")
	return m
}

// Do runs fn inside the machine, and fails the test if it returns an error. Sockets
// opened and processes started by it stay there.
func (m *Machine) Do(fn func() error) {
	m.lab.t.Helper()
	if err := netdev.Do(m.Path, fn); err != nil {
		m.lab.t.Fatalf("on %s: %v", m.Name, err)
	}
}

// IP runs ip(8) on the machine.
func (m *Machine) IP(args ...string) string {
	m.lab.t.Helper()
	return m.lab.ip(append([]string{"-n", filepath.Base(m.Path)}, args...)...)
}

func (l *Lab) ip(args ...string) string {
	l.t.Helper()
	res := l.try("", append([]string{"ip"}, args...)...)
	if res.Code != 0 {
		l.t.Fatalf("ip %s: %s", strings.Join(args, " "), res.Err)
	}
	return res.Out
}

// Sysctl sets a sysctl of the machine.
func (m *Machine) Sysctl(name, value string) {
	m.lab.t.Helper()
	m.Do(func() error {
		return os.WriteFile(sysctlPath(name), []byte(value), 0o644)
	})
}

// ReadSysctl reads a sysctl of the machine.
func (m *Machine) ReadSysctl(name string) string {
	m.lab.t.Helper()
	var value []byte
	m.Do(func() (err error) {
		value, err = os.ReadFile(sysctlPath(name))
		return err
	})
	return strings.TrimSpace(string(value))
}

func sysctlPath(name string) string {
	return "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
}

// Port is one end of a wire.
type Port struct {
	On   *Machine
	Dev  string
	Addr string // CIDR; empty for none

	Addr6 string // the same for IPv6, used without duplicate detection
}

// Wire connects two machines by a veth pair, with both ends up.
func (l *Lab) Wire(a, b Port) {
	l.t.Helper()
	a.On.IP("link", "add", a.Dev, "type", "veth", "peer", "name", b.Dev, "netns", filepath.Base(b.On.Path))
	for _, p := range []Port{a, b} {
		if p.Addr != "" {
			p.On.IP("addr", "add", p.Addr, "dev", p.Dev)
		}
		if p.Addr6 != "" {
			p.On.IP("addr", "add", p.Addr6, "dev", p.Dev, "nodad")
		}
		p.On.IP("link", "set", p.Dev, "up")
	}
}

// LAN connects any number of machines by a switch, itself a namespace with a bridge.
func (l *Lab) LAN(name string, ports ...Port) {
	l.t.Helper()
	sw := l.Machine(name)
	sw.IP("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
	sw.IP("link", "set", "br0", "up")
	for i, p := range ports {
		dev := fmt.Sprintf("port%d", i)
		l.Wire(Port{On: sw, Dev: dev}, p)
		sw.IP("link", "set", dev, "master", "br0")
	}
}

// Route adds a route on the machine.
func (m *Machine) Route(to string, via netip.Addr) {
	m.lab.t.Helper()
	family := "-4"
	if via.Is6() {
		family = "-6"
	}
	m.IP(family, "route", "replace", to, "via", via.String())
}

// remove deletes the machine's namespace.
func (m *Machine) remove() {
	if _, err := os.Stat(m.Path); err != nil {
		return
	}
	if res := m.lab.try("", "ip", "netns", "del", filepath.Base(m.Path)); res.Code != 0 {
		m.lab.t.Errorf("remove %s: %s", m.Name, res.Err)
	}
}

// Still is why what is waited for has not come about yet.
type Still string

func (s Still) Error() string { return string(s) }

// Eventually polls until ok returns nil, and fails the test with its last error if
// that does not happen within the deadline. The deadline is for what never happens;
// no test passes or fails by being slow within it.
func Eventually(t testing.TB, deadline time.Duration, ok func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("still after %v: %v", deadline, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
