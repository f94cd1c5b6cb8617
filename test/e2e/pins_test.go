package e2e

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/test/lab"
)

// soon is a deadline within the agent's interval of 30 s: what is repaired by then has
// been noticed.
const soon = 10 * time.Second

func TestPinsRemoved(t *testing.T)       { pinsRemoved(t) }
func TestPinsRemovedClsact(t *testing.T) { pinsRemoved(t, "--attach", "clsact") }

// pinsRemoved: while the agent lives, nothing depends on its pins, and they come back.
func pinsRemoved(t *testing.T, flags ...string) {
	w := newWorld(t, flags...)
	s := newLoad(t, w)
	pins := pinned(t, w.agent)
	for _, part := range []string{"v1/links", ""} {
		repairs := w.agent.Scrape().Sum("ebnet_repairs_total", `kind="pin"`)
		if err := os.RemoveAll(filepath.Join(w.agent.Pins(), part)); err != nil {
			t.Fatal(err)
		}
		s.goesOn("without pins in " + part)
		pinsBack(t, w.agent, pins)
		s.goesOn("pins are back")
		if got := w.agent.Scrape().Sum("ebnet_repairs_total", `kind="pin"`); got <= repairs {
			t.Errorf("%v repairs counted, before there were %v", got, repairs)
		}
	}
	s.outlives(pins)
}

// A bpffs that is unmounted takes nothing with it, and is mounted again, as at the
// agent's start, but not over somebody's files.
func TestPinsUnmounted(t *testing.T) {
	w := newWorld(t)
	s := newLoad(t, w)
	pins := pinned(t, w.agent)
	mounted := filepath.Dir(w.agent.Pins())
	if err := unix.Unmount(mounted, 0); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("unmount under the agent: %v, want EBUSY", err)
	}
	obstacle := filepath.Join(beneath(t, w), "bpf", "ebnet", "file")
	if err := errors.Join(os.Mkdir(filepath.Dir(obstacle), 0o755), os.WriteFile(obstacle, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(mounted, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // as the test's end expects it
		w.agent.Purge()
		if err := unix.Mount("bpf", mounted, "bpf", 0, ""); err != nil {
			t.Error(err)
		}
	})
	s.goesOn("unmounted")
	for _, problem := range []string{"pins are gone", "folder is not empty"} {
		lab.Eventually(t, soon, func() error {
			if st := w.agent.Status(); !strings.Contains(strings.Join(st.Problems, "\n"), problem) {
				return fmt.Errorf("status has problems %q, want %q", st.Problems, problem)
			}
			return nil
		})
	}
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	pinsBack(t, w.agent, pins)
	s.goesOn("mounted again")
	s.outlives(pins)
}

// beneath shows the agent's folder without what is mounted in it.
func beneath(t *testing.T, w *world) string {
	t.Helper()
	view := filepath.Join(w.Dir(), "beneath")
	if err := errors.Join(os.Mkdir(view, 0o755), unix.Mount(filepath.Dir(w.agent.RunDir()), view, "", unix.MS_BIND, "")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(view, 0); err != nil {
			t.Error(err)
		}
	})
	return view
}

// load is a sandbox with connections of all kinds, one of them busy.
type load struct {
	t        *testing.T
	w        *world
	received atomic.Int64 // bytes by the busy one
	failed   chan error   // how the busy one ended
	talks    map[string]*lab.Conversation
}

// newLoad starts it on a host that forwards: there the kernel itself would carry on
// what the programs do not take, with the sandbox's own address.
func newLoad(t *testing.T, w *world) *load {
	t.Helper()
	w.host.Sysctl("net.ipv4.ip_forward", "1")
	subnet := w.agent.Network("default").Subnets[0]
	w.client.Run("nft", "add table ip watch; add chain ip watch in { type filter hook prerouting priority -300; }; "+
		fmt.Sprintf("add rule ip watch in ip saddr %s counter; add rule ip watch in tcp flags rst counter", subnet.Masked()))
	s := w.agent.Create("a", "-p", "8080:7000", "-p", "8081:7001")
	s.AnswerTCP("a", ":7000")
	w.client.AnswerTCP("outside", ":7000")
	ln := s.ListenTCP(":7001")
	go func() {
		if conn, err := ln.Accept(); err == nil {
			defer conn.Close()
			_, _ = io.Copy(conn, zeros{})
		}
	}()
	l := &load{t: t, w: w, failed: make(chan error, 1), talks: map[string]*lab.Conversation{
		"published":       w.client.Talk("tcp", "", hostIP+":8080"),
		"masqueraded":     s.Talk("tcp", "", clientIP+":7000"),
		"the host itself": w.host.Talk("tcp", "", "127.0.0.1:8080"),
	}}
	busy := w.client.Talk("tcp", "", hostIP+":8081")
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := busy.Read(buf)
			l.received.Add(int64(n))
			if err != nil {
				l.failed <- err
				return
			}
		}
	}()
	l.goesOn("at first")
	w.agent.Idle()
	return l
}

// goesOn sees that every connection goes on, new ones come about, and nothing that is
// none of the outside's business gets there.
func (l *load) goesOn(when string) {
	l.t.Helper()
	goal := l.received.Load() + 32<<20
	lab.Eventually(l.t, wait, func() error {
		select {
		case err := <-l.failed:
			l.t.Fatalf("%s: the transfer ended: %v", when, err)
		default:
		}
		if got := l.received.Load(); got < goal {
			return fmt.Errorf("%s: %d bytes received, want %d", when, got, goal)
		}
		return nil
	})
	for name, c := range l.talks {
		if _, err := c.Ask(); err != nil {
			l.t.Errorf("%s: %s: %v", when, name, err)
		}
	}
	if _, err := l.w.client.Ask("tcp", hostIP+":8080"); err != nil {
		l.t.Errorf("%s: a new connection: %v", when, err)
	}
	rules := l.w.client.Run("nft", "list", "table", "ip", "watch")
	if strings.Count(rules, "counter packets 0 ") != 2 {
		l.t.Errorf("%s: private addresses or resets have been seen outside:\n%s", when, rules)
	}
}

// outlives kills the agent: the pins that were put back hold what they stand for.
func (l *load) outlives(pins map[string]link.ID) {
	l.t.Helper()
	l.w.agent.Kill()
	l.goesOn("agent dead")
	l.w.agent.Start()
	l.goesOn("agent back")
	pinsBack(l.t, l.w.agent, pins)
}

// pinned are the agent's pins, with the links behind them: a link that stays the same
// one has never been off its hook.
func pinned(t *testing.T, a *lab.Agent) map[string]link.ID {
	t.Helper()
	found := map[string]link.ID{}
	_ = filepath.WalkDir(a.Pins(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, ".debug") {
			return nil // it may be under way
		}
		name := strings.TrimPrefix(path, a.Pins())
		found[name] = 0
		if filepath.Base(filepath.Dir(path)) != "links" {
			return nil
		}
		if l, err := link.LoadPinnedLink(path, nil); err == nil {
			defer l.Close()
			if info, err := l.Info(); err == nil {
				found[name] = info.ID
			}
		}
		return nil
	})
	return found
}

func pinsBack(t *testing.T, a *lab.Agent, want map[string]link.ID) {
	t.Helper()
	lab.Eventually(t, 2*soon, func() error {
		have := pinned(t, a)
		for name, id := range want {
			if got, ok := have[name]; !ok || got != id {
				return fmt.Errorf("pin %s: have link %d (%v), want %d", name, got, ok, id)
			}
		}
		if st := a.Status(); len(st.Problems) != 0 {
			return fmt.Errorf("problems: %q", st.Problems)
		}
		return nil
	})
}
