package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHangup sends SIGHUP to a real agent, in network and mount namespaces of
// its own, and sees its uplinks and host address change.
func TestHangup(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	config, run := filepath.Join(dir, "agent.json"), filepath.Join(dir, "run")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(`{}`)
	cmd := exec.Command("sh", "-c", `ip link set lo up && mkdir -p /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf && exec "$0" "$@"`, os.Args[0],
		"agent", "--config", config, "--state", filepath.Join(dir, "state"), "--run", run,
		"--bpffs", "/sys/fs/bpf/ebnet", "--netns-prefix", fmt.Sprintf("hangup%d-", os.Getpid()), "--metrics", "off")
	cmd.Env = append(os.Environ(), beMain+"="+dir)
	// Mounts end with the namespace, and pins with them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := readLines(stderr)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		for range lines { // until it has ended
		}
		_ = cmd.Wait()
	})
	expect := func(text string) {
		t.Helper()
		waitLine(t, lines, text)
	}
	socket := filepath.Join(run, "ebnet.sock")
	ebnet := func(line string) string {
		t.Helper()
		got := call(t, socket, 0, strings.Fields(line)...)
		if got.status != 0 {
			t.Fatalf("ebnet %s: %d %s", line, got.status, got.stderr)
		}
		return got.stdout
	}
	expect("msg=ready")
	defer ebnet("purge") // files of the sandbox lie where those of the host do
	ebnet("sandbox create web -p 8080:80")
	write(`{"host-ip": "127.0.0.1", "uplink": ["late"], "attach": "clsact"}`)
	if err := cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	expect("takes a restart of the agent\" key=attach")
	expect("msg=\"config reloaded\"")
	if got, want := ebnet("publish 8081:81 --to web"), "81/tcp -> 127.0.0.1:8081\n"; got != want {
		t.Errorf("published %s, want %s", got, want)
	}
	if got := ebnet("port"); !strings.Contains(got, "0.0.0.0:8080") {
		t.Errorf("what was published before has moved: %s", got)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(statusInterval) {
		got := ebnet("status")
		if strings.Contains(got, "uplink late is not there") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the uplink is not asked for: %s", got)
		}
	}
}

// readLines hands on lines until the reader's end.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string, 1024)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			lines <- in.Text()
		}
	}()
	return lines
}

// waitLine reads lines up to one that contains the text.
func waitLine(t *testing.T, lines <-chan string, text string) {
	t.Helper()
	deadline := time.After(patience)
	var seen []string
	for {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("the agent has ended before %q: %q", text, seen)
			}
			if seen = append(seen, line); strings.Contains(line, text) {
				return
			}
		case <-deadline:
			t.Fatalf("no %q, but %q", text, seen)
		}
	}
}
