package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/ebnet/ebnet/loader"
)

func parseAgent(t *testing.T, words ...string) (*agentFlags, *pflag.FlagSet) {
	t.Helper()
	set := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	flags := addAgentFlags(set, "/does/not/exist")
	if err := set.Parse(words); err != nil {
		t.Fatal(err)
	}
	return flags, set
}

func TestConfig(t *testing.T) {
	flags, set := parseAgent(t, "--metrics", "off", "--netns-prefix", "mine-")
	config := `{"metrics": "127.0.0.1:1", "uplink": ["eth0", "eth1"], "state": "/s", "attach": "clsact", "netns-prefix": "theirs-"}`
	if err := applyConfig(set, []byte(config)); err != nil {
		t.Fatal(err)
	}
	if flags.metrics != "off" || flags.place.prefix != "mine-" {
		t.Errorf("the file wins over the command line: %+v", flags)
	}
	if !slices.Equal(flags.uplinks, []string{"eth0", "eth1"}) || flags.place.state != "/s" || flags.attach != "clsact" {
		t.Errorf("the file is not read: %+v", flags)
	}
}

func TestConfigErrors(t *testing.T) {
	for config, want := range map[string]string{
		``:                          "it has to be one JSON object: EOF",
		`[]`:                        "it has to be one JSON object: json: cannot unmarshal array into Go value of type map[string]interface {}",
		`{} {}`:                     "there is more behind the JSON object",
		`{"metrix": "off"}`:         `unknown key "metrix": keys are the flags of "ebnet agent"`,
		`{"config": "/x"}`:          `unknown key "config": keys are the flags of "ebnet agent"`,
		`{"state": ["/a", "/b"]}`:   `key "state": it takes one value, not a list`,
		`{"state": {"path": "/a"}}`: `key "state": map[path:/a] is neither text, a number, true nor false`,
		`{"uplink": [null]}`:        `key "uplink": <nil> is neither text, a number, true nor false`,
	} {
		_, set := parseAgent(t)
		if err := applyConfig(set, []byte(config)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", config, err, want)
		}
	}
}

func TestConfigMayBeMissingAtItsDefaultPlace(t *testing.T) {
	_, set := parseAgent(t)
	path := filepath.Join(t.TempDir(), "agent.json")
	if err := loadConfig(set, path, true); err != nil {
		t.Error(err)
	}
	if err := loadConfig(set, path, false); err == nil {
		t.Error("a config file that was named may be missing")
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.json")
	write := func(config string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, set := parseAgent(t, "--metrics", "off")
	write(`{"attach": "tcx"}`)
	if err := loadConfig(set, path, false); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	level := &slog.LevelVar{}
	log, err := newLogger(&out, "text", level)
	if err != nil {
		t.Fatal(err)
	}
	var applied []string
	apply := func(s agentSettings) { applied = append(applied, fmt.Sprint(s.uplinks, s.hostIP)) }
	r := reloader{flags: set, config: path, level: level, log: log, apply: apply}

	write(`{"attach": "clsact", "log-level": "debug", "metrics": "127.0.0.1:1"}`)
	r.reload()
	if applied != nil {
		t.Errorf("uplinks and host address have not changed, but are applied: %q", applied)
	}
	if level.Level() != slog.LevelDebug {
		t.Errorf("level %v, want debug", level.Level())
	}
	if !strings.Contains(out.String(), "takes a restart of the agent\" key=attach") {
		t.Errorf("no word on what cannot change: %s", &out)
	}
	if strings.Contains(out.String(), "key=metrics") {
		t.Errorf("the command line does not win: %s", &out)
	}

	for _, wrong := range []string{
		`{"log-level": "loud"}`, `{"log-level": "error", "metrix": ""}`, `{`,
		`{"log-level": "error", "host-ip": "here"}`, `{"uplink": ["eth9"], "attach": "xdp"}`,
	} {
		out.Reset()
		write(wrong)
		r.reload()
		if level.Level() != slog.LevelDebug || applied != nil || !strings.Contains(out.String(), "config not reloaded") {
			t.Errorf("%s: level %v: %s", wrong, level.Level(), &out)
		}
	}
	write(`{"attach": "tcx"}`)
	r.reload()
	if level.Level() != slog.LevelInfo {
		t.Errorf("level %v, want the default again", level.Level())
	}
}

// TestReloadAgent: uplinks and the host address reach the agent, together and
// only when they have changed; the command line still wins.
func TestReloadAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.json")
	flags, set := parseAgent(t, "--config", path, "--attach", "tcx")
	var out bytes.Buffer
	log, err := newLogger(&out, "text", slog.LevelDebug)
	if err != nil {
		t.Fatal(err)
	}
	var applied []string
	apply := func(s agentSettings) {
		applied = append(applied, fmt.Sprint(s.uplinks, s.hostIP, s.attach == loader.ModeTCX))
	}
	r := reloader{flags: set, config: path, level: &slog.LevelVar{}, log: log, apply: apply}
	for _, row := range []struct{ config, want string }{
		{`{"uplink": ["eth0", "eth1"], "host-ip": "192.0.2.1", "attach": "clsact"}`, "[eth0 eth1] 192.0.2.1 true"},
		{`{"uplink": ["eth0", "eth1"], "host-ip": "192.0.2.1"}`, ""},
		{`{"uplink": ["eth1"], "host-ip": "192.0.2.1"}`, "[eth1] 192.0.2.1 true"},
		{`{"uplink": ["eth1"]}`, "[eth1] invalid IP true"},
		{`{}`, "[] invalid IP true"},
	} {
		applied = nil
		if err := os.WriteFile(path, []byte(row.config), 0o644); err != nil {
			t.Fatal(err)
		}
		r.reload()
		if got := strings.Join(applied, "; "); got != row.want {
			t.Errorf("%s: applied %q, want %q", row.config, got, row.want)
		}
	}
	if len(flags.uplinks) != 0 || flags.hostIP != "" {
		t.Errorf("the flags do not say what the agent runs with: %+v", flags)
	}
	if strings.Contains(out.String(), "level=WARN") {
		t.Errorf("a restart is asked for: %s", &out)
	}
}
