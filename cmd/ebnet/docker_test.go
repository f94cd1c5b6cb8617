package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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

// TestDoctorOnDocker tells what to set, loudly where the agent serves Docker's networks.
func TestDoctorOnDocker(t *testing.T) {
	served := func(version string) string {
		status := engineStatus()
		status.Engines[0].Version = version
		return serve(t, statusOf(status))
	}
	const icc = ", with which dockerd does not start without iptables: the containers of its default network reach each other then, " +
		"those of networks made with \"--opt com.docker.network.bridge.enable_icc=false\" do not, under ebnet as before"
	for _, row := range []struct {
		name, socket, config string
		result               verdict
		found, advice        string
	}{
		{
			"26.1", served("26.1.5"), `{}`, warning, "has on: iptables, userland-proxy",
			`for "ebnet agent --docker" put "iptables": false, "userland-proxy": false into CONFIG and restart dockerd`,
		},
		{
			"26.1 that is asked for IPv6 rules", served("26.1.5"), `{"iptables": false, "ip6tables": true}`, warning, "has on: userland-proxy",
			`for "ebnet agent --docker" put "userland-proxy": false into CONFIG and restart dockerd`,
		},
		{
			"26.1 with IPv6 rules", served("26.1.5"), `{"iptables": false, "ip6tables": true, "experimental": true}`, warning, "has on: ip6tables, userland-proxy",
			`for "ebnet agent --docker" put "ip6tables": false, "userland-proxy": false into CONFIG and restart dockerd`,
		},
		{
			"27", served("27.0.1"), `{"iptables": false}`, warning, "has on: ip6tables, userland-proxy",
			`for "ebnet agent --docker" put "ip6tables": false, "userland-proxy": false into CONFIG and restart dockerd`,
		},
		{
			"without an agent", "/does/not/exist.sock", `{"iptables": false}`, good, "has on: ip6tables, userland-proxy",
			`for "ebnet agent --docker" put "ip6tables": false, "userland-proxy": false into CONFIG and restart dockerd`,
		},
		{
			"icc", served("20.10.24"), `{"icc": false, "userland-proxy": false}`, warning, "has on: iptables",
			`for "ebnet agent --docker" first remove "icc": false from CONFIG` + icc + `; then put "iptables": false into CONFIG and restart dockerd`,
		},
		{
			"icc and all", served("20.10.24"), `{"icc": false, "iptables": false, "userland-proxy": false}`, warning, "does not start again with its settings",
			`first remove "icc": false from CONFIG` + icc + `; then restart dockerd`,
		},
		{"all off", served("27.0.1"), `{"iptables": false, "ip6tables": false, "userland-proxy": false}`, good, "leaves its rules and its proxy to others", ""},
	} {
		config := filepath.Join(t.TempDir(), "daemon.json")
		if err := os.WriteFile(config, []byte(row.config), 0o644); err != nil {
			t.Fatal(err)
		}
		a := &app{getenv: func(name string) string { return map[string]string{"EBNET_SOCKET": row.socket}[name] }, dockerConfig: config}
		f := a.checkDocker(t.Context())
		if advice := strings.ReplaceAll(row.advice, "CONFIG", config); f.Result != row.result || f.Found != row.found || f.Advice != advice {
			t.Errorf("%s: found %+v", row.name, f)
		}
	}
}

// TestDockerRulesLine: what doctor tells to do is what the README tells, which is tested
// with real Docker.
func TestDockerRulesLine(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	line := dockerSetup{socket: "/var/run/docker.sock"}.removeDockerRules()
	if !strings.Contains(string(readme), "\n"+line+" ") {
		t.Errorf("README.md does not have the line\n%s", line)
	}
	if got := (dockerSetup{socket: "/x.sock"}).removeDockerRules(); got != "sudo ebnet adopt --docker=/x.sock --remove-rules" {
		t.Errorf("got %s", got)
	}
}

// TestDoctorOnDockersRules names the file and the socket that are used.
func TestDoctorOnDockersRules(t *testing.T) {
	needRoot(t)
	status := engineStatus()
	status.Engines[0].Socket = "/run/other.sock"
	a := adopter(t, serve(t, statusOf(status)), dockerOff)
	var f finding
	inNamespace(t, func() error {
		if out, err := exec.Command("nft", "add table ip docker-bridges").CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		f = a.checkDockerRules(t.Context())
		return nil
	})
	want := "with iptables off in " + a.dockerConfig + " restart dockerd and remove what it leaves: sudo ebnet adopt --docker=/run/other.sock --remove-rules"
	if f.Result != warning || f.Advice != want {
		t.Errorf("found %+v", f)
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

// needRoot skips a test without root, unless that is an error.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("EBNET_PRIVILEGED") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
}

// fakeDocker answers as a Docker that has one network and one container.
func fakeDocker(t *testing.T) (socket string) {
	t.Helper()
	subnets := []any{map[string]any{"Subnet": "172.29.0.0/16", "Gateway": "172.29.0.1"}}
	network := map[string]any{
		"Id": strings.Repeat("a", 64), "Name": "shop", "Driver": "bridge",
		"Options": map[string]string{"com.docker.network.bridge.name": "front0"},
		"IPAM":    map[string]any{"Config": subnets},
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
	a := adopter(t, "/does/not/exist.sock", `{"icc": false}`)
	if lines, err := a.previewAdoption(t.Context(), socket); err != nil || len(lines) != 4 || !strings.HasPrefix(lines[0].Action, `first remove "icc": false from `) {
		t.Errorf("got %+v, %v", lines, err)
	}
	got = call(t, "", 0, "adopt", "--docker=/does/not/exist.sock", "--dry-run")
	if got.status != 1 || !strings.Contains(got.stderr, "look at Docker's networks: ") {
		t.Errorf("got %+v", got)
	}
}
