package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/api"
)

func TestDockerFlag(t *testing.T) {
	for _, row := range []struct{ words, config, want string }{
		{"", `{}`, ""},
		{"--docker", `{}`, "/var/run/docker.sock"},
		{"--docker=/x.sock", `{}`, "/x.sock"},
		{"--docker=unix:///x.sock", `{}`, "/x.sock"},
		{"--docker=false", `{"docker": true}`, ""},
		{"", `{"docker": true}`, "/var/run/docker.sock"},
		{"", `{"docker": false}`, ""},
		{"", `{"docker": "/x.sock"}`, "/x.sock"},
		{"--docker", `{"docker": "/x.sock"}`, "/var/run/docker.sock"},
	} {
		flags, set := parseAgent(t, strings.Fields(row.words)...)
		if err := applyConfig(set, []byte(row.config)); err != nil {
			t.Fatal(err)
		}
		settings, err := flags.settings(os.Stderr)
		if err != nil || settings.docker != row.want {
			t.Errorf("%+v: %q, %v", row, settings.docker, err)
		}
	}
}

func TestDockerSettings(t *testing.T) {
	for _, row := range []struct{ config, flags, want string }{
		{"", "", "iptables, ip6tables, userland-proxy"},
		{`{"iptables": false, "userland-proxy": true}`, "", "ip6tables, userland-proxy"},
		{`{"iptables": false, "ip6tables": false, "userland-proxy": false}`, "dockerd -H fd://", ""},
		{`{"ip6tables": false}`, "dockerd --iptables=false --userland-proxy=true", "userland-proxy"},
		{`{}`, "dockerd --iptables=0 --userland-proxy=false --ip6tables=false", ""},
	} {
		left, err := notOff([]byte(row.config), strings.Fields(row.flags))
		if got := strings.Join(left, ", "); err != nil || got != row.want {
			t.Errorf("%+v: on are %q, %v", row, got, err)
		}
	}
	if _, err := notOff([]byte(`{"iptables"`), nil); err == nil {
		t.Error("a file that is no JSON passes")
	}
}

// TestDockerd: the flags are those of the daemon in this network namespace.
func TestDockerd(t *testing.T) {
	proc := t.TempDir()
	add := func(pid, comm, netns, cmdline string) {
		dir := filepath.Join(proc, pid)
		for name, content := range map[string]string{"comm": comm + "\n", "cmdline": cmdline} {
			if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(netns, filepath.Join(dir, "ns/net")); err != nil {
			t.Fatal(err)
		}
	}
	add("self", "ebnet", "net:[1]", "")
	add("10", "dockerd", "net:[2]", "dockerd\x00--iptables=true\x00")
	add("11", "sh", "net:[1]", "sh\x00")
	if got := findDockerd(proc); got.flags != nil {
		t.Errorf("flags %q without a daemon", got.flags)
	}
	add("12", "dockerd", "net:[1]", "/usr/sbin/dockerd\x00--iptables=false\x00")
	if got := strings.Join(findDockerd(proc).flags, " "); got != "/usr/sbin/dockerd --iptables=false" {
		t.Errorf("flags %q", got)
	}
}

// TestDockerdConfig: the daemon's own config file counts, and only as far as it has read it.
func TestDockerdConfig(t *testing.T) {
	ours, its := filepath.Join(t.TempDir(), "daemon.json"), filepath.Join(t.TempDir(), "daemon.json")
	for path, content := range map[string]string{ours: `{}`, its: `{"iptables": false, "ip6tables": false, "userland-proxy": false}`} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// This process is the daemon: it has started just now.
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{dockerConfig: ours}
	for _, row := range []struct {
		flags   string
		changed time.Duration // after now
		want    dockerSetup
	}{
		{"dockerd", 0, dockerSetup{there: true, config: ours, on: dockerSettings()}},
		{"dockerd --config-file=" + its, -time.Hour, dockerSetup{there: true, config: its}},
		{"dockerd --debug --config-file " + its, -time.Hour, dockerSetup{there: true, config: its}},
		{"dockerd --config-file=" + its, time.Hour, dockerSetup{there: true, config: its, stale: true}},
		{"dockerd --config-file=/does/not/exist", time.Hour, dockerSetup{there: true, config: "/does/not/exist", on: dockerSettings()}},
	} {
		changed := time.Now().Add(row.changed)
		if err := os.Chtimes(its, changed, changed); err != nil {
			t.Fatal(err)
		}
		proc := t.TempDir()
		fakeDockerd(t, proc, strings.ReplaceAll(row.flags, " ", "\x00")+"\x00", string(stat))
		if got, err := a.dockerSetup(proc); err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s, changed %v: got %+v, %v, want %+v", row.flags, row.changed, got, err, row.want)
		}
	}
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

// fakeDockerd makes a /proc that has a daemon and nobody else.
func fakeDockerd(t *testing.T, proc, cmdline, stat string) {
	t.Helper()
	for _, dir := range []string{"self", "10"} {
		if err := os.MkdirAll(filepath.Join(proc, dir, "ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("net:[1]", filepath.Join(proc, dir, "ns/net")); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"comm": "dockerd\n", "cmdline": cmdline, "stat": stat} {
		if err := os.WriteFile(filepath.Join(proc, "10", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDoctorOnDocker tells what to set, loudly where the agent serves Docker's networks.
func TestDoctorOnDocker(t *testing.T) {
	config := filepath.Join(t.TempDir(), "daemon.json")
	if err := os.WriteFile(config, []byte(`{"iptables": false}`), 0o644); err != nil {
		t.Fatal(err)
	}
	socket := serve(t, statusOf(engineStatus()))
	a := &app{getenv: func(name string) string { return map[string]string{"EBNET_SOCKET": socket}[name] }, dockerConfig: config}
	f := a.checkDocker(t.Context())
	want := `for "ebnet agent --docker" put "ip6tables": false, "userland-proxy": false into ` + config + " and restart dockerd"
	if f.Result != warning || f.Found != "has on: ip6tables, userland-proxy" || f.Advice != want {
		t.Errorf("found %+v", f)
	}
	a.getenv = func(string) string { return "/does/not/exist.sock" }
	if f := a.checkDocker(t.Context()); f.Result != good || f.Advice != want {
		t.Errorf("without an agent: found %+v", f)
	}
}

// TestDockerRulesLine: what doctor tells to do is what the README tells, which is tested
// with real Docker.
func TestDockerRulesLine(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "\n"+removeDockerRules+" ") {
		t.Errorf("README.md does not have the line\n%s", removeDockerRules)
	}
}

func engineStatus() api.Status {
	status := readyStatus()
	status.Engines = []api.Engine{{
		Name: "docker", Socket: "/var/run/docker.sock", Connected: true, Version: "26.1.5",
		Networks: []api.EngineNetwork{
			{Name: "docker/bridge", State: "adopted"},
			{Name: "docker/shop_default", State: "adopted"},
			{Name: "docker/old", State: "its bridge is not there"},
		},
	}}
	return status
}

func statusOf(status api.Status) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, status) })
	return mux
}

func TestStatusOfEngines(t *testing.T) {
	got := call(t, serve(t, statusOf(engineStatus())), 0, "status")
	want := "Engine:      docker at /var/run/docker.sock, version 26.1.5\n" +
		"             docker/bridge, docker/shop_default: adopted\n" +
		"             docker/old: its bridge is not there\n"
	if !strings.Contains(got.stdout, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got.stdout, want)
	}
	status := engineStatus()
	status.Engines[0].Connected = false
	got = call(t, serve(t, statusOf(status)), 0, "status")
	if !strings.Contains(got.stdout, "docker at /var/run/docker.sock, not connected\n") {
		t.Errorf("got\n%s", got.stdout)
	}
}

// needRoot skips a test that looks for Docker's rules.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("EBNET_PRIVILEGED") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root, to look for Docker's rules")
	}
}

// fakeDocker answers as a Docker that has one network and one container.
func fakeDocker(t *testing.T) (socket string) {
	t.Helper()
	network := map[string]any{
		"Id": strings.Repeat("a", 64), "Name": "shop", "Driver": "bridge",
		"Options": map[string]string{"com.docker.network.bridge.name": "front0"},
		"IPAM":    map[string]any{"Config": []any{map[string]any{"Subnet": "172.29.0.0/16", "Gateway": "172.29.0.1"}}},
	}
	place := map[string]any{"shop": map[string]any{
		"NetworkID": network["Id"], "Gateway": "172.29.0.1", "IPAddress": "172.29.0.2", "IPPrefixLen": 16,
	}}
	container := map[string]any{
		"Id": strings.Repeat("c", 64), "Name": "/web", "State": map[string]any{"Running": true},
		"NetworkSettings": map[string]any{
			"Networks": place, "Ports": map[string]any{"80/tcp": []any{map[string]any{"HostIp": "0.0.0.0", "HostPort": "8080"}}},
		},
	}
	daemon := http.NewServeMux()
	for path, answer := range map[string]any{
		"/version":  map[string]any{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"},
		"/networks": []any{network}, "/networks/{id}": network,
		"/containers/json":      []any{map[string]any{"Id": container["Id"], "Names": []string{"/web"}, "State": "running"}},
		"/containers/{id}/json": container,
	} {
		serve := func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, answer) }
		daemon.HandleFunc(path, serve)
		daemon.HandleFunc("/v1.41"+path, serve)
	}
	return serve(t, daemon)
}

// TestAdoptDryRun reads a Docker that has one network and one container.
func TestAdoptDryRun(t *testing.T) {
	needRoot(t)
	socket := fakeDocker(t)
	got := call(t, "/does/not/exist.sock", 0, "adopt", "--docker="+socket, "--dry-run", "-o", "json")
	var lines []struct{ Kind, Name, What, Action string }
	if err := json.Unmarshal([]byte(got.stdout), &lines); err != nil {
		t.Fatalf("%v: %+v", err, got)
	}
	if len(lines) != 3 || lines[0].Name != "docker/shop" || lines[2].Kind != "port" || lines[2].Action != "published to 172.29.0.2:80/tcp" {
		t.Errorf("got %+v", lines)
	}
	got = call(t, "/does/not/exist.sock", 0, "adopt", "--docker="+socket, "--dry-run")
	if !strings.HasPrefix(got.stdout, "KIND ") || strings.Count(got.stdout, "\n") != 4 {
		t.Errorf("got %+v", got)
	}
	got = call(t, "", 0, "adopt", "--docker=/does/not/exist.sock", "--dry-run")
	if got.status != 1 || !strings.Contains(got.stderr, "look at Docker's networks: ") {
		t.Errorf("got %+v", got)
	}
}
