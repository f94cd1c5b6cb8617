package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ConfigFile is where a Docker daemon has its settings unless it was told otherwise.
const ConfigFile = "/etc/docker/daemon.json"

// Setup is how the Docker daemon of this network namespace is set up: by the flags it
// runs with and its config file.
type Setup struct {
	Runs  bool   // there is a daemon, as far as this machine shows
	File  string // path of its config file, as it knows it
	Found bool   // there is that file
	Stale bool   // the file was changed after the daemon's start, which does not know

	daemon daemon
	values map[string]any // of the file
}

// ReadSetup looks for the daemon in /proc, which proc is, and for its config file. That
// is file if it is not told another, and if there is no daemon.
func ReadSetup(proc, file string) (Setup, error) {
	d := findDaemon(proc)
	s := Setup{Runs: d.runs(), File: d.value("config-file"), daemon: d}
	if s.File == "" {
		s.File = file
	}
	path := d.place(s.File)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read Docker's settings: %w", err)
	}
	s.Found = true
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &s.values); err != nil {
			return s, fmt.Errorf("read %s: %w", s.File, err)
		}
	}
	if info, err := os.Stat(path); err == nil {
		s.Stale = d.startedBefore(info.ModTime())
	}
	return s, nil
}

// On tells whether a switch is on, which stands as given if nothing turns it. Docker
// refuses to start with one both as a flag and in its file.
func (s Setup) On(name string, unset bool) bool {
	if on, given := s.daemon.flag(name); given {
		return on
	}
	if on, given := s.values[name].(bool); given {
		return on
	}
	return unset
}

// Flagged tells whether a switch is a flag on the daemon's command line.
func (s Setup) Flagged(name string) bool {
	_, given := s.daemon.flag(name)
	return given
}

// IP6Tables tells whether a daemon of a version makes IPv6 rules. Up to 26.1 that is an
// experiment, which has to be asked for; of a version that is not known it is assumed.
func (s Setup) IP6Tables(version string) bool {
	if major, _ := splitVersion(version); major > 0 && major < 27 {
		return s.On("ip6tables", false) && s.On("experimental", false)
	}
	return s.On("ip6tables", true)
}

// masquerade is what the daemon was told of its default network; known is false where it
// cannot be read what that was.
func (s Setup) masquerade() (on, known bool) {
	known = s.Runs && !s.daemon.more && (!s.Stale || s.Flagged("ip-masq"))
	return known && s.On("ip-masq", true), known
}
