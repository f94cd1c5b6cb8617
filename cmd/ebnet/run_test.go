package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
)

// patience bounds what a test waits for; nothing depends on how long it takes.
const patience = 30 * time.Second

// house is a fake agent with one sandbox, whose namespace is real.
type house struct {
	socket   string
	etcNetns string
	netns    string // what readlink shows of it
	created  chan api.SandboxCreate
	removed  chan string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	needRoot(t)
	h := &house{etcNetns: t.TempDir(), created: make(chan api.SandboxCreate, 2), removed: make(chan string, 2)}
	path := newNetns(t)
	var err error
	if h.netns, err = os.Readlink(path); err != nil {
		t.Fatal(err)
	}
	resolv := filepath.Join(h.etcNetns, filepath.Base(path), "resolv.conf")
	if err := os.MkdirAll(filepath.Dir(resolv), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(resolv, []byte("nameserver 192.0.2.53\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sandbox := api.Sandbox{Name: "web", Netns: path}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/sandboxes/web", func(w http.ResponseWriter, _ *http.Request) { _ = api.WriteJSON(w, sandbox) })
	mux.HandleFunc("POST /v1/sandboxes", func(w http.ResponseWriter, r *http.Request) {
		var create api.SandboxCreate
		if err := json.NewDecoder(r.Body).Decode(&create); err != nil {
			t.Error(err)
		}
		h.created <- create
		_ = api.WriteJSON(w, sandbox)
	})
	mux.HandleFunc("DELETE /v1/sandboxes/{name}", func(w http.ResponseWriter, r *http.Request) {
		h.removed <- r.PathValue("name")
		w.WriteHeader(http.StatusNoContent)
	})
	h.socket = serve(t, mux)
	return h
}

// newNetns is the path of a network namespace that lives until the test ends.
func newNetns(t *testing.T) string {
	t.Helper()
	type made struct {
		thread int
		err    error
	}
	ready, done := make(chan made), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- made{unix.Gettid(), err}
		<-done
	}()
	m := <-ready
	t.Cleanup(func() { close(done) })
	if m.err != nil {
		t.Fatal(m.err)
	}
	return fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), m.thread)
}

// ebnet is a process that runs the command line.
func (h *house) ebnet(words ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], words...)
	cmd.Env = append(os.Environ(), beMain+"="+h.etcNetns, "EBNET_SOCKET="+h.socket)
	return cmd
}

// gone checks that the sandbox was removed.
func (h *house) gone(t *testing.T) {
	t.Helper()
	select {
	case <-h.removed:
	case <-time.After(patience):
		t.Error("the sandbox was not removed")
	}
}

const look = `readlink /proc/self/ns/net; cat /etc/resolv.conf; cut -d" " -f5 /proc/self/mountinfo | grep ^/sys; exit 7`

func TestCommandsRunInTheSandbox(t *testing.T) {
	h := newHouse(t)
	mounts, err := exec.Command("sh", "-c", `cut -d" " -f5 /proc/self/mountinfo | grep ^/sys`).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := h.netns + "\nnameserver 192.0.2.53\n" + string(mounts)
	for _, words := range [][]string{{"exec", "web", "--", "sh", "-c", look}, {"exec", "web", "sh", "-c", look}, {"run", "--", "sh", "-c", look}, {"run", "sh", "-c", look}} {
		cmd := h.ebnet(words...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 {
			t.Errorf("%v: got %v, want status 7: %s", words, err, &stderr)
		}
		if string(out) != want {
			t.Errorf("%v: got %q, want %q", words, out, want)
		}
		if words[0] == "run" {
			<-h.created
			h.gone(t)
		}
	}
	if content, err := os.ReadFile("/etc/resolv.conf"); err == nil && bytes.Contains(content, []byte("192.0.2.53")) {
		t.Error("the host's resolv.conf has changed")
	}
}

func TestStartFailures(t *testing.T) {
	h := newHouse(t)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("\x7fELF but not really"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		words  []string
		status int
	}{
		{[]string{"exec", "web", "--", text}, 126},
		{[]string{"run", "--", text}, 126},
		{[]string{"exec", "web", "--", text + "no"}, 127},
		{[]string{"run", "--", text + "no"}, 127},
	} {
		out, err := h.ebnet(row.words...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != row.status || bytes.Count(out, []byte("\n")) != 1 {
			t.Errorf("%v: got %v and %q, want status %d", row.words, err, out, row.status)
		}
	}
	<-h.created // only what was found gets a sandbox
	h.gone(t)
	if len(h.created)+len(h.removed) > 0 {
		t.Error("a sandbox was made for a command that does not exist")
	}
}

// startRun starts a shell script by `ebnet run` and waits for its first line.
func startRun(t *testing.T, h *house, script string) (*exec.Cmd, *bufio.Reader, string) {
	t.Helper()
	cmd := h.ebnet("run", "--", "sh", "-c", script)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if t.Failed() {
			t.Log(&stderr)
		}
	})
	if pipe, ok := out.(*os.File); ok {
		_ = pipe.SetReadDeadline(time.Now().Add(patience))
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	create := <-h.created
	if create.OwnerPID != cmd.Process.Pid {
		t.Errorf("owner is %d, want %d", create.OwnerPID, cmd.Process.Pid)
	}
	return cmd, lines, strings.TrimSpace(first)
}

func TestRunPassesSignals(t *testing.T) {
	for _, number := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGCONT} {
		h := newHouse(t)
		name := strings.TrimPrefix(unix.SignalName(number), "SIG")
		script := fmt.Sprintf(`trap 'echo got; exit 9' %s; echo ready; while :; do sleep 0.05; done`, name)
		cmd, lines, _ := startRun(t, h, script)
		if err := cmd.Process.Signal(number); err != nil {
			t.Fatal(err)
		}
		if line, err := lines.ReadString('\n'); line != "got\n" {
			t.Fatalf("%s: got %q, %v", name, line, err)
		}
		_ = cmd.Wait()
		if status := cmd.ProcessState.ExitCode(); status != 9 {
			t.Errorf("%s: status %d, want 9", name, status)
		}
		h.gone(t)
	}
}

func TestRunStatusOfSignal(t *testing.T) {
	h := newHouse(t)
	cmd, _, _ := startRun(t, h, `echo ready; exec sleep 600`)
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 128+15 {
		t.Errorf("status %d, want 143", status)
	}
	h.gone(t)
}

func TestRunKilledTakesItsCommandAlong(t *testing.T) {
	h := newHouse(t)
	cmd, _, first := startRun(t, h, `echo $$; exec sleep 600`)
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	watched, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watched)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ready, err := 0, error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		ready, err = unix.Poll([]unix.PollFd{{Fd: int32(watched), Events: unix.POLLIN}}, int(patience.Milliseconds()))
	}
	if err != nil || ready != 1 {
		t.Errorf("the command lives on: %d, %v", ready, err)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	_ = cmd.Wait()
}
