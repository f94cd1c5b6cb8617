package docker

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// daemon is a Docker daemon that runs; the zero value is none.
type daemon struct {
	dir   string        // in /proc
	flags []string      // its command line
	since time.Duration // after the machine's start
	more  bool          // it is not the only one of its network namespace
}

// findDaemon finds the Docker daemon of this network namespace.
func findDaemon(proc string) daemon {
	here, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return daemon{}
	}
	var found daemon
	names, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/comm"))
	for _, name := range names {
		dir := filepath.Dir(name)
		comm, err := os.ReadFile(name)
		if err != nil || string(comm) != "dockerd\n" {
			continue
		}
		if there, err := os.Readlink(filepath.Join(dir, "ns/net")); err != nil || there != here {
			continue
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		if found.runs() {
			found.more = true
			break
		}
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		flags := strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
		found = daemon{dir: dir, flags: flags, since: sinceBoot(string(stat))}
	}
	return found
}

// runs says whether there is one.
func (d daemon) runs() bool { return d.dir != "" }

// place is where a path of the daemon's leads, which may have folders of its own.
func (d daemon) place(path string) string {
	switch {
	case !d.runs():
		return path
	case filepath.IsAbs(path):
		return filepath.Join(d.dir, "root", path)
	}
	return filepath.Join(d.dir, "cwd", path)
}

// value is that of a flag that takes one; empty if it is not given.
func (d daemon) value(name string) string {
	for i, flag := range d.flags {
		if value, found := strings.CutPrefix(flag, "--"+name+"="); found {
			return value
		}
		if flag == "--"+name && i+1 < len(d.flags) {
			return d.flags[i+1]
		}
	}
	return ""
}

// flag is a switch on the command line.
func (d daemon) flag(name string) (on, given bool) {
	for _, flag := range d.flags {
		if flag == "--"+name {
			on, given = true, true
		}
		if value, found := strings.CutPrefix(flag, "--"+name+"="); found {
			on, given = isTrue(value, true), true
		}
	}
	return on, given
}

// startedBefore tells whether the daemon runs since before a time, by more than clocks
// are apart. The kernel says when it started on a clock that nobody sets.
func (d daemon) startedBefore(at time.Time) bool {
	var now unix.Timespec
	if d.since == 0 || unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) != nil {
		return false
	}
	started := time.Now().Add(d.since - time.Duration(now.Nano()))
	return at.Sub(started) > time.Second
}

// sinceBoot is when a process started, from its stat in /proc; 0: it does not say.
func sinceBoot(stat string) time.Duration {
	const (
		startTime = 22 - 3                // the name is the second one, and may have spaces
		tick      = 10 * time.Millisecond // USER_HZ, which is the same everywhere
	)
	_, rest, _ := strings.Cut(stat, ") ")
	fields := strings.Fields(rest)
	if len(fields) <= startTime {
		return 0
	}
	ticks, err := strconv.ParseInt(fields[startTime], 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(ticks) * tick
}
