package owner

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// start runs a program that ends with the test.
func start(t testing.TB, name string, arg ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, arg...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func startTime(t testing.TB, pid int) uint64 {
	t.Helper()
	got, err := StartTime(pid)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestParseStart(t *testing.T) {
	tail := " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 98765 20 21"
	for _, name := range []string{"sleep", "a b", ") R 1 (", "))))", "", "x\ny", "( S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1"} {
		if got, err := parseStart("42 (" + name + ")" + tail); err != nil || got != 98765 {
			t.Errorf("name %q: %d, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "42", "42 (sleep)", "42 (sleep) S 1 2 3", strings.Replace("42 (x)"+tail, "98765", "-1", 1)} {
		if got, err := parseStart(bad); err == nil {
			t.Errorf("parseStart(%q) = %d", bad, got)
		}
	}
}

func FuzzParseStart(f *testing.F) {
	f.Add("x", "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 98765 20")
	f.Add("a) b (", "")
	f.Fuzz(func(t *testing.T, name, tail string) {
		_, _ = parseStart(tail) // must not panic
		// Whatever the name is, it has no influence.
		got, err := parseStart("1 (" + name + ") S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 5 20 21")
		if err != nil || got != 5 {
			t.Errorf("name %q: %d, %v", name, got, err)
		}
	})
}

func TestStartTime(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(t.TempDir(), "a) R 9 9 (")
	if err := os.WriteFile(odd, data, 0o700); err != nil {
		t.Fatal(err)
	}
	self := startTime(t, os.Getpid())
	if got := startTime(t, start(t, odd, "60").Process.Pid); got < self || got > self+100*600 {
		t.Errorf("a child began at %d, this process at %d", got, self)
	}
}

func TestGone(t *testing.T) {
	cmd := start(t, "sleep", "60")
	pid := cmd.Process.Pid
	began := startTime(t, pid)
	if alive, err := Alive(pid, began); err != nil || !alive {
		t.Errorf("Alive of a running process = %t, %v", alive, err)
	}
	if alive, err := Alive(pid, began+1); err != nil || alive {
		t.Errorf("Alive with the start of another process = %t, %v", alive, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// It stays a zombie until Wait.
	deadline := time.Now().Add(10 * time.Second)
	for alive := true; alive; {
		var err error
		if alive, err = Alive(pid, began); err != nil || time.Now().After(deadline) {
			t.Fatalf("Alive of a zombie = %t, %v", alive, err)
		}
	}
	_ = cmd.Wait()
	if _, err := StartTime(pid); !errors.Is(err, ErrGone) {
		t.Errorf("StartTime of a process that has gone = %v, want ErrGone", err)
	}
	if alive, err := Alive(pid, began); err != nil || alive {
		t.Errorf("Alive of a process that has gone = %t, %v", alive, err)
	}
}

func TestBootID(t *testing.T) {
	a, err := BootID()
	if err != nil || len(a) != 36 {
		t.Errorf("BootID() = %q, %v", a, err)
	}
	if b, _ := BootID(); a != b {
		t.Errorf("BootID() = %q, then %q", a, b)
	}
}
