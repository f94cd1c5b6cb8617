package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/engine/docker"
)

const daemonConfig = "/etc/docker/daemon.json"

// dockerSettings are what Docker is to leave to ebnet.
func dockerSettings() []string { return []string{"iptables", "ip6tables", "userland-proxy"} }

// dockerSetup is how Docker is set up on this machine.
type dockerSetup struct {
	there  bool     // there is Docker, as far as one can see
	config string   // path of its config file
	on     []string // those of dockerSettings that are not off
	stale  bool     // the file was changed after the daemon's start, which does not know
}

// dockerSetup looks at the daemon of this network namespace and its config file.
func (a *app) dockerSetup(proc string) (dockerSetup, error) {
	daemon := findDockerd(proc)
	s := dockerSetup{config: daemon.value("config-file")}
	if s.config == "" {
		s.config = a.daemonConfig()
	}
	config, err := os.ReadFile(s.config)
	_, noSocket := os.Stat(docker.Socket)
	s.there = err == nil || noSocket == nil || daemon.flags != nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if s.on, err = notOff(config, daemon.flags); err != nil {
		return s, fmt.Errorf("read %s: %w", s.config, err)
	}
	if info, err := os.Stat(s.config); err == nil {
		s.stale = daemon.startedBefore(info.ModTime())
	}
	return s, nil
}

func (a *app) daemonConfig() string {
	if a.dockerConfig != "" {
		return a.dockerConfig
	}
	return daemonConfig
}

// notOff are the settings that neither the config file nor the daemon's flags turn off.
func notOff(config []byte, flags []string) ([]string, error) {
	values := map[string]any{}
	if len(bytes.TrimSpace(config)) > 0 {
		if err := json.Unmarshal(config, &values); err != nil {
			return nil, err
		}
	}
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if strings.HasPrefix(flag, "-") && (value == "false" || value == "0") {
			values[name] = false
		}
	}
	var left []string
	for _, name := range dockerSettings() {
		if values[name] != false {
			left = append(left, name)
		}
	}
	return left, nil
}

// dockerd is a Docker daemon that runs; the zero value is none.
type dockerd struct {
	flags []string // its command line
	since time.Duration
}

// findDockerd finds the Docker daemon of this network namespace.
func findDockerd(proc string) dockerd {
	here, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return dockerd{}
	}
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
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		return dockerd{strings.Split(strings.TrimRight(string(line), "\x00"), "\x00"), sinceBoot(string(stat))}
	}
	return dockerd{}
}

// value is that of a flag that takes one; empty if it is not given.
func (d dockerd) value(name string) string {
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

// startedBefore tells whether the daemon runs since before a time, by more than clocks
// are apart. The kernel says when it started on a clock that nobody sets.
func (d dockerd) startedBefore(at time.Time) bool {
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
