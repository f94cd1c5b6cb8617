package control

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/api"
)

func TestOwnerOfAnother(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	if _, err := a.CreateSandbox(t.Context(), api.SandboxCreate{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	a.ownerEnded("web", "the id of an earlier sandbox of that name")
	if !w.exists(a, "web") {
		t.Error("a sandbox went with the owner of another one")
	}
}

func TestOwnerEnds(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t)
		a := w.agent()
		before := w.all()
		pid := os.Getpid()
		if _, err := a.CreateSandbox(t.Context(), api.SandboxCreate{Name: "run", OwnerPID: pid}); err != nil {
			t.Fatal(err)
		}
		if restart {
			a = w.agent()
		}
		close(w.procs.ended[pid])
		for deadline := time.Now().Add(10 * time.Second); w.exists(a, "run"); {
			if time.Now().After(deadline) {
				t.Fatal("the sandbox outlives its owner")
			}
			time.Sleep(time.Millisecond)
		}
		a.ops.Lock() // what was under way is over
		if after := w.all(); after != before {
			t.Errorf("restart %v: left something:\n%s\nbefore:\n%s", restart, after, before)
		}
		a.ops.Unlock()
	}
}

// TestAbandoned has an owner end, or the machine boot, while no agent runs.
func TestAbandoned(t *testing.T) {
	for name, reboot := range map[string]bool{"ended": false, "boot": true} {
		w := newWorld(t)
		a := w.agent()
		before := w.all()
		pid := os.Getpid()
		create := api.SandboxCreate{Name: "run", OwnerPID: pid, Publish: []api.PublishSpec{spec("8080:80")}}
		if _, err := a.CreateSandbox(t.Context(), create); err != nil {
			t.Fatal(err)
		}
		if reboot {
			w.boot = "another boot"
		}
		w.last.ops.Lock()
		w.last.closed = true // dead before it notices
		w.last.ops.Unlock()
		if !reboot {
			close(w.procs.ended[pid])
		}
		w.arm(0, false)
		w.agent()
		if after := w.all(); after != before {
			t.Errorf("%s: left something:\n%s\nbefore:\n%s", name, after, before)
		}
		if slices.Contains(w.calls, "veth") {
			t.Errorf("%s: made again before it was removed: %q", name, w.calls)
		}
	}
}
