package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// golden holds text against testdata/NAME.golden.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if updating() {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, text, want)
	}
}

// callGolden runs command lines and holds all that they print against a golden file.
func callGolden(t *testing.T, name, socket string, euid int, lines []string) {
	t.Helper()
	var all strings.Builder
	for _, line := range lines {
		got := call(t, socket, euid, fields(line)...)
		if got.status != 0 && strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("ebnet %s: not one line: %q", line, got.stderr)
		}
		if got.status != 0 && !strings.HasPrefix(got.stderr, "ebnet: ") {
			t.Errorf("ebnet %s: no \"ebnet: \" in front: %q", line, got.stderr)
		}
		fmt.Fprintf(&all, "$ ebnet %s\n%s%s[%d]\n\n", line, got.stdout, got.stderr, got.status)
	}
	golden(t, name, strings.ReplaceAll(all.String(), socket, "SOCKET"))
}

// fields splits at spaces; ” is an empty word, \n in a word is a newline.
func fields(line string) []string {
	words := strings.Fields(line)
	for i, word := range words {
		if word == "''" {
			word = ""
		}
		words[i] = strings.ReplaceAll(word, `\n`, "\n")
	}
	return words
}

func TestUsageErrors(t *testing.T) {
	long := strings.Repeat("x", 49)
	callGolden(t, "usage", serve(t, fakeAgent()), 0, []string{
		"nonsense",
		"sandbox nonsense",
		"network nonsense",
		"flows nonsense",
		"--nonsense",
		"status --nonsense",
		"sandbox ls extra",
		"sandbox ls -o yaml",
		"sandbox ls --filter nonsense",
		"sandbox ls --filter colour=red",
		"network ls --filter name",
		"sandbox create",
		"sandbox create a b",
		"sandbox create ''",
		"sandbox create we@b",
		`sandbox create we\nb`,
		"sandbox create wéb",
		"sandbox create -- -web",
		"sandbox create " + long,
		"sandbox create web --dns nine",
		"sandbox create web --label =x",
		"sandbox create web --network a@b",
		"sandbox create web --network blue,ip=x",
		"sandbox create web -p 80:http",
		"sandbox inspect",
		"sandbox inspect ../web",
		"sandbox rm",
		"network inspect",
		"publish",
		"publish 8080:80 extra",
		"publish ''",
		"publish 8080:",
		"publish 8080:65536 --to web",
		"publish 70000:80 --to web",
		"publish 8080:0 --to web",
		"publish 8010-8000:80-90 --to web",
		"publish 8000-8010:80-85 --to web",
		"publish 8000-8010:80 --to web",
		"publish 8080:80/icmp --to web",
		"publish localhost:8080:80 --to web",
		"publish ::1:8080:80 --to web",
		"publish 8080:80 --to ''",
		"publish 8080:80 --allow here",
		"unpublish",
		"unpublish 0",
		"unpublish 8010-8000",
		"unpublish 8080:80",
		"port a@b",
		"port web db",
		"flows flush",
		"flows flush --to web --all",
		"flows flush --port 99999",
		"status --wait soon",
		"completion",
		"completion tcsh",
		"exec",
		"exec web",
		"exec web --",
		"run",
		"run --nonsense -- true",
		"run --name we@b -- true",
		"run --name '' -- true",
		"run -p 1 -p 99999:1 -- true",
		"agent extra",
		"agent --socket /tmp/x.sock",
		"agent --attach xdp",
		"agent --host-ip here",
		"agent --metrics here",
		"agent --log-level loud",
		"agent --log-format xml",
		"agent --config /does/not/exist.json",
		"agent --docker /run/docker.sock",
		"agent --docker=docker.sock",
		"adopt",
		"adopt --dry-run",
		"adopt --remove-rules",
		"adopt --docker",
		"adopt --docker /run/docker.sock --dry-run",
	})
}

func TestRefusals(t *testing.T) {
	callGolden(t, "refusals", serve(t, fakeAgent()), 0, []string{
		"sandbox create web",
		"sandbox inspect nobody",
		"sandbox inspect web nobody none -o table",
		"sandbox rm db nobody",
		"network inspect nowhere",
		"network inspect nowhere blue none -o table",
		"network create default",
		"network rm nowhere green default blue",
		"network rm -f nowhere green",
		"network connect nowhere web",
		"network disconnect blue nobody",
		"allow 9 --any",
		"unpublish 8080",
		"unpublish 127.0.0.1:8000-8010/udp",
		"port nobody",
		"exec nobody -- true",
		"exec web -- does-not-exist",
		"exec web -- /",
		"exec web -- /etc/passwd",
		"run -- does-not-exist",
		"run -- /does/not/exist",
		"run -- true",
		"status --strict -o json",
	})
}

func TestWithoutAgent(t *testing.T) {
	callGolden(t, "noagent", socketPath(t), 0, []string{
		"sandbox create web",
		"sandbox ls",
		"sandbox inspect web",
		"sandbox rm web",
		"network ls",
		"network inspect default",
		"network create blue",
		"network rm blue green",
		"network connect blue web",
		"network disconnect blue web",
		"allow 8080 --any",
		"publish 8080:80",
		"unpublish 8080",
		"port",
		"flows",
		"flows flush --all",
		"status",
		"status --wait 1ms",
		"exec web -- true",
		"run -- true",
		"purge",
	})
}

func TestWithoutRoot(t *testing.T) {
	callGolden(t, "noroot", socketPath(t), 1000, []string{
		"agent",
		"adopt --docker --dry-run",
		"adopt --docker --remove-rules",
		"exec web -- true",
		"run -- true",
		"run --name we@b -- true",
	})
	got := call(t, "", 1000, "purge", "--run", t.TempDir())
	if want := "ebnet: ebnet purge needs root: run it with sudo\n"; got.stderr != want || got.status != 1 {
		t.Errorf("got %d %s, want 1 %s", got.status, got.stderr, want)
	}
}

func TestOutput(t *testing.T) {
	callGolden(t, "output", serve(t, fakeAgent()), 0, []string{
		"sandbox ls",
		"sandbox ls -q",
		"sandbox ls -q --filter name=we",
		"sandbox ls -q --filter name=we --filter name=db",
		"sandbox ls -q --filter network=default --filter label=app",
		"sandbox ls -q --filter label=app=shop --filter label=app=other",
		"sandbox ls --filter name=nobody -o json",
		"sandbox inspect web",
		"sandbox inspect web -o table",
		"sandbox rm web db",
		"network ls",
		"network ls -q --filter driver=none",
		"network ls -q --filter driver=bridge --filter name=lu",
		"network ls -q --filter label=tier=back",
		"network ls -q --filter label=tier --filter owner=docker",
		"network inspect blue default -o table",
		"network inspect blue",
		"network create green --label a=b",
		"network rm green",
		"network connect blue web --ip 10.7.0.9",
		"network disconnect blue web",
		"sandbox inspect app -o table",
		"network inspect default",
		"network inspect default -o table",
		"publish 9000-9010:9000-9010/udp --to web --allow 192.0.2.1 --allow 198.51.100.7/24",
		"port",
		"port web",
		"port web -o json",
		"allow 8080 --set 192.0.2.1,198.51.100.7/24 203.0.113.0/24 --set 10.0.0.0/8 10.1.2.3",
		"allow 8080 --set 192.0.2.1 -o json",
		"allow 8080 --any",
		"flows",
		"flows ls -o json",
		"flows flush --all",
		"status",
		"status --strict",
		"status -o json",
	})
}
