package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestNewEnough(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-28-amd64": true, "6.1": true, "6.18.44-fc-v669": true, "7.0.1": true,
		"6.0.19": false, "5.15.0-1": false, "4.19": false, "": false, "six": false,
	} {
		if newEnough(release) != want {
			t.Errorf("%q: got %v", release, !want)
		}
	}
}

func TestDoctorLooksAtEverything(t *testing.T) {
	got := call(t, serve(t, fakeAgent()), 0, "doctor", "-o", "json")
	var findings []finding
	if err := json.Unmarshal([]byte(got.stdout), &findings); err != nil {
		t.Fatal(err)
	}
	problems := 0
	var names []string
	for _, f := range findings {
		names = append(names, f.Check)
		if f.Result == problem {
			problems++
		}
		if f.Found == "" || f.Result == problem && f.Advice == "" {
			t.Errorf("says too little: %+v", f)
		}
	}
	want := "kernel, BTF, rights, program types, BPF JIT, tcx, bpffs, cgroup2, agent, hooks, host firewall, Docker, Docker's rules"
	if strings.Join(names, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(names, ", "), want)
	}
	if (got.status != 0) != (problems > 0) {
		t.Errorf("status %d with problems: %d", got.status, problems)
	}
}

func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if got := call(t, "", 1000, "man", dir); got.status != 0 {
		t.Fatal(got.stderr)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 15 {
		t.Errorf("got %d pages, %v", len(pages), err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "ebnet-sandbox-create.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{".TH EBNET\\-SANDBOX\\-CREATE 1", ".SH NAME\n", "\n.B \\-p, \\-\\-publish [HOSTIP:]", ".BR ebnet\\-sandbox (1)"} {
		if !strings.Contains(string(page), part) {
			t.Errorf("no %q in\n%s", part, page)
		}
	}
	if _, err := exec.LookPath("man"); err != nil {
		return
	}
	for _, page := range pages {
		check := exec.Command("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
		if out, err := check.Output(); err != nil || len(out) == 0 {
			t.Errorf("man %s: %v", page, err)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := call(t, "", 1000, "completion", shell); got.status != 0 || !strings.Contains(got.stdout, "ebnet") {
			t.Errorf("%s: status %d: %s", shell, got.status, got.stderr)
		}
	}
	got := call(t, serve(t, fakeAgent()), 0, "__complete", "publish", "8080:80", "--to", "")
	if !strings.HasPrefix(got.stdout, "db\nweb\n") {
		t.Errorf("sandboxes are not offered: %q", got.stdout)
	}
}
