package docker

import (
	"encoding/json"
	"slices"
	"strings"
)

// refuses types a line that is to change nothing yet.
func (r *reader) refuses(line, why string) {
	r.t.Helper()
	before := r.rules()
	res := r.host.Try(r.shell(r.here(line))...)
	if res.Code != 1 || res.Out != "" || !strings.Contains(res.Err, why) || strings.Count(res.Err, "\n") != 1 {
		r.t.Errorf("%s: exit status %d: %s%s, want %q", line, res.Code, res.Out, res.Err, why)
	}
	if after := r.rules(); !slices.Equal(after, before) {
		r.t.Errorf("%s: rules became\n%s\nthey were\n%s", line, strings.Join(after, "\n"), strings.Join(before, "\n"))
	}
}

// removes types the line that removes Docker's rules. It says which these are before it
// does so as well, and a second time does nothing.
func (r *reader) removes(line string) {
	r.t.Helper()
	line, _, _ = strings.Cut(line, "   #")
	before := r.rules()
	plan := r.types(line + " --dry-run")
	planned := r.types(line + " --dry-run -o json")
	if now := r.rules(); !slices.Equal(now, before) {
		r.t.Errorf("the dry run made of the rules\n%s\nthey were\n%s", strings.Join(now, "\n"), strings.Join(before, "\n"))
	}
	if said := r.types(line); said != plan {
		r.t.Errorf("it says\n%s\nand of what it would do\n%s", said, plan)
	}
	after := r.rules()
	gone := slices.DeleteFunc(before, func(rule string) bool { return slices.Contains(after, rule) })
	var removed []struct{ Family, Tool, Table, Rule string }
	if err := json.Unmarshal([]byte(planned), &removed); err != nil {
		r.t.Fatalf("%v: %s", err, planned)
	}
	var said []string
	for _, rule := range removed {
		said = append(said, rule.Tool+"-save *"+rule.Table+" "+rule.Rule)
	}
	slices.Sort(gone)
	slices.Sort(said)
	if !slices.Equal(said, gone) {
		r.t.Errorf("it said that it removes\n%s\nand removed\n%s", strings.Join(said, "\n"), strings.Join(gone, "\n"))
	}
	if again := r.types(line); again != "no rules of Docker's are there\n" {
		r.t.Errorf("the second time it says\n%s", again)
	}
}
