package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
)

const dockerOff = `{"iptables": false, "ip6tables": false}`

// adopter is an app on a machine where Docker's config file is this.
func adopter(t *testing.T, socket, config string) *app {
	t.Helper()
	path := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return &app{
		getenv:       func(name string) string { return map[string]string{"EBNET_SOCKET": socket}[name] },
		euid:         func() int { return 0 },
		dockerConfig: path,
	}
}

// Nothing is removed that containers need, or that comes back.
func TestRemoveRulesRefuses(t *testing.T) {
	unseen := engineStatus()
	unseen.Engines[0].Version = ""
	newer := engineStatus()
	newer.Engines[0].Version = "28.0.1"
	for _, row := range []struct {
		name   string
		status *api.Status // nil: no agent
		config string
		want   string // empty: it may
	}{
		{"no agent", nil, dockerOff, "no agent is running at "},
		{"without Docker", ptr(readyStatus()), dockerOff, "the agent does not serve Docker's networks, which would have nothing else: start it with --docker"},
		{"Docker not seen", &unseen, dockerOff, "the agent has not seen Docker's networks yet"},
		{"iptables on", ptr(engineStatus()), `{}`, `dockerd has on iptables and would make them again: put "iptables": false into `},
		{"ip6tables on", &newer, `{"iptables": false}`, `dockerd has on ip6tables and would make them again`},
		{"icc off", ptr(engineStatus()), `{"icc": false}`, `dockerd has on iptables and would make them again: first remove "icc": false from `},
		{"experiments only", ptr(engineStatus()), `{"iptables": false, "ip6tables": true}`, ""},
		{"nonsense", ptr(engineStatus()), `{"iptables"`, "unexpected end of JSON input"},
		{"proxy on", ptr(engineStatus()), dockerOff, ""},
	} {
		socket := "/does/not/exist.sock"
		if row.status != nil {
			socket = serve(t, statusOf(*row.status))
		}
		err := adopter(t, socket, row.config).mayRemoveRules(t.Context())
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// The file says off, and the daemon does not know yet.
func TestRemoveRulesOfChangedSettings(t *testing.T) {
	a := adopter(t, "", dockerOff)
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(a.dockerConfig, later, later); err != nil {
		t.Fatal(err)
	}
	setup, err := a.dockerSetup(t.Context(), fakeProc(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := setup.makesNoRules(); err == nil || !strings.HasSuffix(err.Error(), "since that was changed: restart dockerd") {
		t.Errorf("got %v", err)
	}
}

// fakeProc is a /proc that has a Docker daemon, which has started just now.
func fakeProc(t *testing.T) string {
	t.Helper()
	proc := t.TempDir()
	stat, err := os.ReadFile("/proc/self/stat")
	daemon := filepath.Join(proc, "10")
	err = errors.Join(err,
		os.MkdirAll(filepath.Join(proc, "self/ns"), 0o755), os.Symlink("net:[1]", filepath.Join(proc, "self/ns/net")),
		os.MkdirAll(filepath.Join(daemon, "ns"), 0o755), os.Symlink("net:[1]", filepath.Join(daemon, "ns/net")),
		os.Symlink("/", filepath.Join(daemon, "root")), os.WriteFile(filepath.Join(daemon, "stat"), stat, 0o644),
		os.WriteFile(filepath.Join(daemon, "comm"), []byte("dockerd\n"), 0o644),
		os.WriteFile(filepath.Join(daemon, "cmdline"), []byte("dockerd\x00"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return proc
}

// inNamespace runs what needs a network namespace of its own.
func inNamespace(t *testing.T, run func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the namespace with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = run()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestRemoveRules removes rules of a network namespace of its own.
func TestRemoveRules(t *testing.T) {
	needRoot(t)
	a := adopter(t, serve(t, statusOf(engineStatus())), dockerOff)
	daemon := fakeDocker(t)
	type step struct {
		flags string
		make  string // before it
		want  string
		fails string
	}
	const heading = "FAMILY    TOOL           TABLE     RULE OR CHAIN\n"
	const rules = heading +
		"IPv4      iptables-nft   filter    -A FORWARD -i front0 -o front0 -j ACCEPT\n" +
		"IPv4      iptables-nft   nat       -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n" +
		"IPv4      iptables-nft   nat       :DOCKER - [0:0]\n"
	const left = "iptables-nft -A FORWARD -i front0 -o front0 -j ACCEPT; iptables-nft -t nat -N DOCKER; iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER"
	steps := []step{
		{want: "no rules of Docker's are there\n"},
		{flags: "-o json", want: "[]\n"},
		{flags: "--dry-run", make: left, want: rules},
		{flags: "--dry-run", want: rules},
		{want: rules},
		{want: "no rules of Docker's are there\n"},
		{
			make:  "iptables-nft -t nat -N DOCKER; iptables-nft -t nat -N mine; iptables-nft -t nat -A mine -j DOCKER",
			fails: "ebnet: chains of Docker's stay in table nat of IPv4, empty: remove what leads to them first: -A mine -j DOCKER\n",
		},
		{make: "iptables-nft -t nat -F mine", want: heading + "IPv4      iptables-nft   nat       :DOCKER - [0:0]\n"},
		{make: "nft add table ip docker-bridges", fails: "ebnet: there are rules of Docker's that no iptables on this machine shows: see \"nft list ruleset\"\n"},
	}
	inNamespace(t, func() error {
		for i, s := range steps {
			if out, err := exec.Command("sh", "-ec", s.make).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", s.make, err, out)
			}
			var stdout, stderr bytes.Buffer
			words := append([]string{"adopt", "--docker=" + daemon, "--remove-rules"}, strings.Fields(s.flags)...)
			status := a.main(t.Context(), words, &stdout, &stderr)
			if stdout.String() != s.want || stderr.String() != s.fails || (status == 0) != (s.fails == "") {
				t.Errorf("step %d: status %d\n%s%s\nwant\n%s%s", i, status, &stdout, &stderr, s.want, s.fails)
			}
		}
		return nil
	})
}

func TestRemovedAsJSON(t *testing.T) {
	var out bytes.Buffer
	rule := removedRule{"IPv6", "ip6tables-legacy", "filter", ":DOCKER - [0:0]"}
	if err := printRemoved(&out, []removedRule{rule}, formatJSON, nil); err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got) != 1 {
		t.Fatalf("got %s, %v", &out, err)
	}
	for name, want := range map[string]string{"family": "IPv6", "tool": "ip6tables-legacy", "table": "filter", "rule": ":DOCKER - [0:0]"} {
		if got[0][name] != want {
			t.Errorf("%s is %q, want %q", name, got[0][name], want)
		}
	}
}
