package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/engine"
)

func TestSwitches(t *testing.T) {
	for _, row := range []struct {
		config, flags string
		want          string // on of those below, some of which are on unless they are set
	}{
		{"", "", "iptables ip-masq icc"},
		{`{"iptables": false, "experimental": true}`, "", "ip-masq icc experimental"},
		{`{"icc": false, "mtu": 1400}`, "dockerd -H fd:// --iptables=0 --experimental", "ip-masq experimental"},
		{`{}`, "dockerd --ip-masq=false --icc=false --debug", "iptables"},
		{`{"experimental": false}`, "dockerd --iptables=true --ip-masq=F", "iptables icc"},
	} {
		s, err := ReadSetup(daemonProc(t, row.flags), configFile(t, row.config))
		if err != nil {
			t.Fatal(err)
		}
		var on []string
		for _, name := range []string{"iptables", "ip-masq", "icc", "experimental"} {
			if s.On(name, name != "experimental") {
				on = append(on, name)
			}
		}
		if got := strings.Join(on, " "); got != row.want || s.Flagged("icc") != strings.Contains(row.flags, "icc") {
			t.Errorf("%+v: on are %s", row, got)
		}
	}
	if _, err := ReadSetup(daemonProc(t, "dockerd"), configFile(t, `{"iptables"`)); err == nil {
		t.Error("a file that is no JSON passes")
	}
}

func TestIP6Tables(t *testing.T) {
	for _, row := range []struct {
		version, config string
		want            bool
	}{
		{"20.10.24", `{}`, false},
		{"20.10.24", `{"ip6tables": true}`, false},
		{"20.10.24", `{"experimental": true}`, false},
		{"26.1.5", `{"experimental": true, "ip6tables": true}`, true},
		{"27.0.1", `{}`, true},
		{"28.3.0", `{"ip6tables": false}`, false},
		{"", `{}`, true},
		{"", `{"ip6tables": false}`, false},
	} {
		s, err := ReadSetup(daemonProc(t, ""), configFile(t, row.config))
		if got := s.IP6Tables(row.version); err != nil || got != row.want {
			t.Errorf("%+v: got %t, %v", row, got, err)
		}
	}
}

// TestFindDaemon: the daemon is that of this network namespace.
func TestFindDaemon(t *testing.T) {
	proc := t.TempDir()
	addProcess(t, proc, "self", "ebnet", "net:[1]", "")
	addProcess(t, proc, "10", "dockerd", "net:[2]", "dockerd --iptables=true")
	addProcess(t, proc, "11", "sh", "net:[1]", "sh")
	if d := findDaemon(proc); d.runs() {
		t.Errorf("found %+v without a daemon", d)
	}
	addProcess(t, proc, "12", "dockerd", "net:[1]", "/usr/sbin/dockerd --iptables=false")
	if got := strings.Join(findDaemon(proc).flags, " "); got != "/usr/sbin/dockerd --iptables=false" {
		t.Errorf("flags %q", got)
	}
	s, err := ReadSetup(proc, configFile(t, ""))
	if on, known := s.masquerade(); err != nil || !known || !on {
		t.Errorf("masquerade %t, known %t, %v", on, known, err)
	}
	addProcess(t, proc, "13", "dockerd", "net:[1]", "dockerd --ip-masq=false")
	s, err = ReadSetup(proc, configFile(t, ""))
	if _, known := s.masquerade(); err != nil || known {
		t.Errorf("of two daemons it is known which is meant, %v", err)
	}
}

// TestConfigOfDaemon: the daemon's own file counts, and only as far as it has read it.
func TestConfigOfDaemon(t *testing.T) {
	ours, its := configFile(t, `{}`), configFile(t, `{"ip-masq": false}`)
	for _, row := range []struct {
		flags   string
		changed time.Duration // after now
		want    string
	}{
		{"", 0, "file OURS found"},
		{"dockerd", 0, "runs file OURS found masquerade"},
		{"dockerd --config-file=" + its, -time.Hour, "runs file ITS found no-masquerade"},
		{"dockerd --debug --config-file " + its, -time.Hour, "runs file ITS found no-masquerade"},
		{"dockerd --config-file=" + its, time.Hour, "runs file ITS found stale"},
		{"dockerd --ip-masq=false --config-file=" + its, time.Hour, "runs file ITS found stale no-masquerade"},
		{"dockerd --config-file=/does/not/exist", time.Hour, "runs file /does/not/exist masquerade"},
	} {
		changed := time.Now().Add(row.changed)
		if err := os.Chtimes(its, changed, changed); err != nil {
			t.Fatal(err)
		}
		s, err := ReadSetup(daemonProc(t, row.flags), ours)
		var got strings.Builder
		field(&got, s.Runs, "runs ")
		got.WriteString("file " + s.File)
		field(&got, s.Found, " found")
		field(&got, s.Stale, " stale")
		on, known := s.masquerade()
		field(&got, known && on, " masquerade")
		field(&got, known && !on, " no-masquerade")
		want := strings.NewReplacer("OURS", ours, "ITS", its).Replace(row.want)
		if err != nil || got.String() != want {
			t.Errorf("%s, changed %v: got %s, %v, want %s", row.flags, row.changed, got.String(), err, want)
		}
	}
}

// TestMasquerade: what the daemon was told of its default network counts, and not what it
// says of it, which is false where it makes no rules.
func TestMasquerade(t *testing.T) {
	for _, row := range []struct{ flags, want string }{
		{"", "known false, unknown true"},
		{"dockerd", "known true, unknown false"},
		{"dockerd --ip-masq=false", "known false, unknown false"},
		{"dockerd --config-file=" + configFile(t, `{"ip-masq": false}`), "known false, unknown false"},
		{"dockerd --config-file=" + configFile(t, `nonsense`), "known false, unknown true"},
	} {
		f := newFake(t, recordings[0])
		e := New(Options{Socket: f.socket})
		e.proc = daemonProc(t, row.flags)
		c := e.connect(t.Context())
		_, err := c.negotiate(t.Context())
		n, _ := c.readNetwork(networkReply{ID: "0123456789abcdef", Name: "bridge", Driver: "bridge", Options: map[string]string{
			optMasquerade: "false", optDefault: "true",
		}})
		other, _ := c.readNetwork(networkReply{ID: "1123456789abcdef", Name: "n", Driver: "bridge", Options: map[string]string{optMasquerade: "false"}})
		c.close()
		if got := fmt.Sprintf("known %t, unknown %t", n.Masquerade, n.MasqueradeUnknown); err != nil || got != row.want {
			t.Errorf("%q: %s, %v, want %s", row.flags, got, err, row.want)
		}
		if other.Masquerade || other.MasqueradeUnknown {
			t.Errorf("%q: another network has %+v", row.flags, other)
		}
	}
}

// TestMasqueradeIsReadAtEachConnect: a daemon that was told otherwise has started anew.
func TestMasqueradeIsReadAtEachConnect(t *testing.T) {
	f := newFake(t, recordings[0])
	l := &follower{Engine: New(Options{Socket: f.socket, Interval: time.Hour}), t: t, worlds: make(chan engine.World, 100)}
	config := configFile(t, `{"ip-masq": false}`)
	l.proc = daemonProc(t, "dockerd --config-file="+config)
	runEngine(t, l.Engine, func(w engine.World) { l.worlds <- w })
	is := func(on bool) func(engine.World) bool {
		return func(w engine.World) bool {
			for _, n := range w.Networks {
				if n.Name == "bridge" {
					return n.Masquerade == on && !n.MasqueradeUnknown
				}
			}
			return false
		}
	}
	l.until(is(false))
	f.stop()
	past := time.Now().Add(-time.Hour)
	if err := os.WriteFile(config, []byte(`{}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(config, past, past); err != nil {
		t.Fatal(err)
	}
	f.start()
	l.until(is(true))
}

func TestSinceBoot(t *testing.T) {
	for stat, want := range map[string]time.Duration{
		"": 0, "1 (dockerd) S 1 2 3": 0,
		"1 (docker d) S" + strings.Repeat(" 7", 18) + " 12345 9 9": 123450 * time.Millisecond,
	} {
		if got := sinceBoot(stat); got != want {
			t.Errorf("%q: got %v, want %v", stat, got, want)
		}
	}
}

// configFile is a file with settings, which are older than any daemon.
func configFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
	return path
}

// daemonProc is a /proc that has a daemon with these flags, which has started just now;
// without flags it has none.
func daemonProc(t *testing.T, flags string) string {
	t.Helper()
	proc := t.TempDir()
	addProcess(t, proc, "self", "ebnet", "net:[1]", "")
	if flags != "" {
		addProcess(t, proc, "10", "dockerd", "net:[1]", flags)
	}
	return proc
}

func addProcess(t *testing.T, proc, pid, comm, netns, cmdline string) {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(proc, pid)
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"comm": comm + "\n", "cmdline": strings.ReplaceAll(cmdline, " ", "\x00") + "\x00", "stat": string(stat),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"ns/net": netns, "root": "/"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
