package lab

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// machines is a lab that needs no binary.
func machines(t *testing.T) *Lab {
	t.Helper()
	t.Setenv(BinEnv, t.TempDir())
	return New(t)
}

// Machines on a LAN and behind a router talk, and see who asks.
func TestMachinesTalk(t *testing.T) {
	l := machines(t)
	a, b, router, far := l.Machine("a"), l.Machine("b"), l.Machine("router"), l.Machine("far")
	l.LAN("lan", Port{On: a, Dev: "eth0", Addr: "198.51.100.1/24"}, Port{On: b, Dev: "eth0", Addr: "198.51.100.2/24"}, Port{On: router, Dev: "eth0", Addr: "198.51.100.254/24"})
	l.Wire(Port{On: router, Dev: "eth1", Addr: "203.0.113.254/24"}, Port{On: far, Dev: "eth0", Addr: "203.0.113.1/24"})
	router.Sysctl("net.ipv4.ip_forward", "1")
	a.Route("default", netip.MustParseAddr("198.51.100.254"))
	far.Route("default", netip.MustParseAddr("203.0.113.254"))
	for _, network := range []string{"tcp", "udp"} {
		if network == "tcp" {
			b.AnswerTCP("b", ":7000")
			far.AnswerTCP("far", ":7000")
		} else {
			b.AnswerUDP("b", ":7000")
			far.AnswerUDP("far", ":7000")
		}
		for server, remote := range map[string]string{"b": "198.51.100.2:7000", "far": "203.0.113.1:7000"} {
			c := a.Talk(network, "198.51.100.1:0", remote)
			if reply := a.MustAsk(c); reply.Server != server || reply.Client.String() != c.LocalAddr().String() {
				t.Errorf("%s: asked %s from %s, got %+v", network, server, c.LocalAddr(), reply)
			}
		}
		b.Unreachable(network, "203.0.113.1:7000")
	}
}

// What a test leaves behind is found: this is what all of its other tests rely on.
func TestLeaksAreFound(t *testing.T) {
	l := machines(t)
	m := l.Machine("host")
	l.ip("netns", "add", l.prefix+"forgotten")
	forgotten := &Machine{Name: "forgotten", Path: filepath.Join("/run/netns", l.prefix+"forgotten"), lab: l}
	proc := forgotten.Start("sleep", "1000")
	loaded, err := ebpf.NewMap(&ebpf.MapSpec{Name: "forgotten", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	info, err := loaded.Info()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := info.ID()
	l.seen.maps[id] = "forgotten"
	l.seen.note(l)

	problems := strings.Join(append(l.seen.leftBehind(l), l.seen.kernelObjects()...), "\n")
	for _, want := range []string{"namespace " + l.prefix + "forgotten", "(sleep) in " + l.prefix + "forgotten", "BPF map"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%q is not among the problems:\n%s", want, problems)
		}
	}
	if strings.Contains(problems, m.Path) {
		t.Errorf("a machine of the test's counts as left behind:\n%s", problems)
	}
	proc.Wait() // leftBehind has killed it
	loaded.Close()
	forgotten.remove()
}

// A snapshot shows what changed, and nothing where nothing did.
func TestSnapshot(t *testing.T) {
	l := machines(t)
	a, b := l.Machine("a"), l.Machine("b")
	l.Wire(Port{On: a, Dev: "eth0", Addr: "198.51.100.1/24"}, Port{On: b, Dev: "eth0", Addr: ""})
	a.Settle()
	before := a.Snapshot()
	if diffs := before.Diff(a.Snapshot()); len(diffs) != 0 {
		t.Errorf("nothing changed, but: %s", diffs)
	}
	a.Sysctl("net.ipv4.ip_local_reserved_ports", "8080")
	a.IP("link", "add", "extra", "type", "bridge")
	diffs := strings.Join(before.Diff(a.Snapshot()), "\n")
	for _, want := range []string{"ip_local_reserved_ports", "links\n", "extra"} {
		if !strings.Contains(diffs, want) {
			t.Errorf("%q is not in the differences:\n%s", want, diffs)
		}
	}
}

func TestMetricsSum(t *testing.T) {
	m := Metrics{`a{x="1",y="2"}`: 3, `a{x="1",y="3"}`: 4, `ab{x="1"}`: 5, "plain": 6}
	for _, row := range []struct {
		name string
		with []string
		want float64
	}{
		{"a", nil, 7},
		{"a", []string{`y="3"`}, 4},
		{"a", []string{`x="1"`, `y="2"`}, 3},
		{"a", []string{`x="2"`}, 0},
		{"plain", nil, 6},
	} {
		if got := m.Sum(row.name, row.with...); got != row.want {
			t.Errorf("%s %q: %v, want %v", row.name, row.with, got, row.want)
		}
	}
	if m.Has("a", `y="4"`) || !m.Has("ab", `x="1"`) {
		t.Error("Has is wrong")
	}
}

func TestMain(m *testing.M) {
	removeStale()
	os.Exit(m.Run())
}
