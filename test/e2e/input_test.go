package e2e

import (
	"strings"
	"testing"
)

// A command that is refused says why in one line and changes nothing.
func TestBadInputChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.agent.Create("a", "-p", "8080:80")
	w.agent.Create("b")
	look := func() string {
		return strings.Join([]string{
			w.agent.Ebnet("port", "-o", "json"),
			w.agent.Ebnet("sandbox", "ls", "-o", "json"),
			w.agent.Ebnet("network", "ls", "-o", "json"),
		}, "\n")
	}
	w.host.Settle()
	before, state := w.host.Snapshot(), look()
	for _, row := range []struct {
		command string
		code    int
		says    string
	}{
		{"publish 8081:80 --to nobody", 1, "nobody"},
		{"publish 8081:80", 2, "a, b"},
		{"publish 8081:70000 --to a", 2, "70000"},
		{"publish 70000:80 --to a", 2, "70000"},
		{"publish 8090-8081:90-81 --to a", 2, "8090-8081"},
		{"publish 8081-8090:80-85 --to a", 2, ""},
		{"publish 8081:80/quic --to a", 2, "quic"},
		{"publish 8080:81 --to b", 1, "8080"},
		{"publish 8075-8085:75-85 --to b", 1, "8080"},
		{"unpublish 9999", 1, "9999"},
		{"unpublish x", 2, "x"},
		{"sandbox create a", 1, "a"},
		{"sandbox create -p 8080:80 c", 1, "8080"},
		{"sandbox create -p 8081:80 -p 8081:81 c", 1, "8081"},
		{"sandbox create -p 8081:80 -p 8080:81 c", 1, "8080"},
		{"sandbox create --network nowhere c", 1, "nowhere"},
		{"sandbox create ../c", 2, "../c"},
		{"sandbox create " + strings.Repeat("x", 49), 2, "48"},
		{"sandbox rm nobody", 1, "nobody"},
		{"sandbox inspect nobody", 1, "nobody"},
		{"network inspect nowhere", 1, "nowhere"},
		{"exec nobody -- true", 125, "nobody"},
		{"run --name a -- true", 125, "a"},
		{"flows flush", 2, ""},
		{"port nobody", 1, "nobody"},
	} {
		res := w.agent.Try(strings.Fields(row.command)...)
		if res.Code != row.code {
			t.Errorf("ebnet %s: status %d, want %d: %s", row.command, res.Code, row.code, res.Err)
		}
		if !strings.HasPrefix(res.Err, "ebnet: ") || strings.Count(res.Err, "\n") != 1 || !strings.Contains(res.Err, row.says) {
			t.Errorf("ebnet %s says\n%s", row.command, res.Err)
		}
		if res.Out != "" {
			t.Errorf("ebnet %s prints %q", row.command, res.Out)
		}
	}
	if got := look(); got != state {
		t.Errorf("the state was\n%s\nand is now\n%s", state, got)
	}
	for _, diff := range before.Diff(w.host.Snapshot()) {
		t.Errorf("changed: %s", diff)
	}
}
