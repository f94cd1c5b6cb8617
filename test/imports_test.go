// Package test holds what concerns the whole project: who may import whom.
package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ebnet/ebnet/"

// rooms says what the packages of each room may import of ebnet. A room is a
// folder with all below it that is not a room itself. "control/..." is every
// room that begins with control; "all" is everything but tests.
var rooms = map[string][]string{
	"bpf":            nil,
	"datapath":       {"bpf"},
	"loader":         {"bpf"},
	"control":        {"control/...", "datapath", "loader"},
	"control/netdev": nil,
	"control/api":    nil,
	"control/engine": {"control/api"},
	"metrics":        {"datapath"},
	"cmd/ebnet":      {"all"},
	"test":           {"all", "test"},
}

func TestImports(t *testing.T) {
	for _, p := range listPackages(t) {
		if err := checkImports(p.ImportPath, p.Imports); err != nil {
			t.Error(err)
		}
	}
}

func TestImportRules(t *testing.T) {
	for _, row := range []struct {
		pkg, imports string
		allowed      bool
	}{
		{"datapath", "bpf", true},
		{"datapath", "loader", false},
		{"loader", "datapath", false},
		{"loader/internal/pins", "bpf", true},
		{"control", "control/netdev", true},
		{"control", "control/store", true},
		{"control/store", "datapath", true},
		{"control", "bpf", false},
		{"control/api", "control/netdev", false},
		{"control/netdev", "bpf", false},
		{"control/netdev/internal/nl", "control/netdev", true},
		{"control/engine/docker", "control/api", true},
		{"control/engine/docker", "control", false},
		{"metrics", "datapath", true},
		{"metrics", "control", false},
		{"cmd/ebnet", "bpf", true},
		{"cmd/ebnet", "test/lab", false},
		{"test/e2e", "test/lab", true},
		{"nowhere", "bpf", false},
	} {
		err := checkImports(module+row.pkg, []string{"fmt", module + row.imports})
		if (err == nil) != row.allowed {
			t.Errorf("%s imports %s: allowed %t, got %v", row.pkg, row.imports, row.allowed, err)
		}
	}
}

// checkImports reports the first import of ebnet that pkg's room does not allow.
func checkImports(pkg string, imports []string) error {
	room := roomOf(pkg)
	if room == "" {
		return fmt.Errorf("%s is in no room; the rooms are in the README", pkg)
	}
	for _, imported := range imports {
		if !strings.HasPrefix(imported, module) {
			continue
		}
		other := roomOf(imported)
		if other != room && !slices.ContainsFunc(rooms[room], func(allow string) bool { return allows(allow, other) }) {
			return fmt.Errorf("%s imports %s: room %s may import %q", pkg, imported, room, rooms[room])
		}
	}
	return nil
}

// allows says whether one element of the table covers a room.
func allows(allow, room string) bool {
	if allow == "all" {
		return room != "test"
	}
	if prefix, ok := strings.CutSuffix(allow, "/..."); ok {
		return room == prefix || strings.HasPrefix(room, prefix+"/")
	}
	return room == allow
}

// roomOf is the innermost room that holds pkg; empty if none does.
func roomOf(pkg string) string {
	for dir := strings.TrimPrefix(pkg, module); dir != "."; dir = path.Dir(dir) {
		if _, ok := rooms[dir]; ok {
			return dir
		}
	}
	return ""
}

type listed struct {
	ImportPath string
	Imports    []string // without those of tests, which may look across rooms
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}
