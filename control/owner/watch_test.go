package owner

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"
)

func newWatcher(t *testing.T) *Watcher {
	t.Helper()
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func watch(t *testing.T, w *Watcher, pid int, start uint64) (<-chan struct{}, func()) {
	t.Helper()
	ended, stop, err := w.Watch(pid, start)
	if err != nil {
		t.Fatal(err)
	}
	return ended, stop
}

func mustEnd(t *testing.T, what string, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no end reported", what)
	}
}

func mustRun(t *testing.T, what string, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
		t.Fatalf("%s: an end reported", what)
	default:
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestWatch(t *testing.T) {
	w := newWatcher(t)
	one, two := start(t, "sleep", "60"), start(t, "sleep", "60")
	endedOne, _ := watch(t, w, one.Process.Pid, startTime(t, one.Process.Pid))
	endedTwo, stopTwo := watch(t, w, two.Process.Pid, startTime(t, two.Process.Pid))
	if err := one.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, "killed, not waited for", endedOne)
	mustRun(t, "the other one", endedTwo)

	again, _ := watch(t, w, one.Process.Pid, startTime(t, one.Process.Pid))
	mustEnd(t, "a zombie", again)
	_ = one.Wait()
	gone, stopGone := watch(t, w, one.Process.Pid, 1)
	mustEnd(t, "one that has gone", gone)
	stopGone()
	reused, _ := watch(t, w, two.Process.Pid, startTime(t, two.Process.Pid)-1)
	mustEnd(t, "a pid of another process", reused)

	stopTwo()
	stopTwo()
	third, _ := watch(t, w, two.Process.Pid, startTime(t, two.Process.Pid))
	if err := two.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, "watched anew", third)
	mustRun(t, "no longer watched", endedTwo)
}

// An old stop must not end the watch that got its descriptor's number.
func TestStopLate(t *testing.T) {
	w := newWatcher(t)
	one, two := start(t, "sleep", "60"), start(t, "sleep", "60")
	_, stop := watch(t, w, one.Process.Pid, startTime(t, one.Process.Pid))
	stop()
	ended, _ := watch(t, w, two.Process.Pid, startTime(t, two.Process.Pid))
	stop()
	if err := two.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, "watched after the old stop", ended)
}

// Many end at once, while others come; no descriptor is left.
func TestWatchMany(t *testing.T) {
	before := descriptors(t)
	w := newWatcher(t)
	var all []<-chan struct{}
	var cmds []*exec.Cmd
	for range 100 {
		cmd := start(t, "sleep", "60")
		began := startTime(t, cmd.Process.Pid)
		for range 10 {
			ended, _ := watch(t, w, cmd.Process.Pid, began)
			all = append(all, ended)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	for _, ended := range all {
		mustEnd(t, "one of many", ended)
	}
	if len(w.ended) != 0 {
		t.Errorf("%d watches left", len(w.ended))
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	// os/exec keeps none of a process that was waited for.
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before it were %d", after, before)
	}
}

func TestWatcherClosed(t *testing.T) {
	w := newWatcher(t)
	cmd := start(t, "sleep", "60")
	ended, stop := watch(t, w, cmd.Process.Pid, startTime(t, cmd.Process.Pid))
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	mustRun(t, "closed", ended)
	if _, _, err := w.Watch(cmd.Process.Pid, startTime(t, cmd.Process.Pid)); !errors.Is(err, ErrClosed) {
		t.Errorf("Watch of a closed watcher = %v, want ErrClosed", err)
	}
}
