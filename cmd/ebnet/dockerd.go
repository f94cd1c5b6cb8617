package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ebnet/ebnet/control/engine/docker"
)

// dockerSetup is how Docker is set up on this machine.
type dockerSetup struct {
	docker.Setup
	socket  string   // of the daemon that the agent follows, or else the usual one
	adopted bool     // the agent serves its networks
	there   bool     // there is Docker, as far as one can see
	on      []string // what it is to leave to ebnet and does not
}

// dockerSetup looks at the daemon of this network namespace and its config file.
func (a *app) dockerSetup(ctx context.Context, proc string) (dockerSetup, error) {
	s := dockerSetup{socket: docker.Socket}
	version := ""
	status, err := a.client().Status(ctx)
	if err == nil && len(status.Engines) > 0 {
		s.socket, version, s.adopted = status.Engines[0].Socket, status.Engines[0].Version, true
	}
	if version == "" {
		version = dockerVersion(ctx, s.socket)
	}
	_, noSocket := os.Stat(s.socket)
	s.Setup, err = docker.ReadSetup(proc, a.daemonConfig())
	s.there = s.Found || noSocket == nil || s.Runs
	for _, setting := range []struct {
		name string
		on   bool
	}{{"iptables", s.On("iptables", true)}, {"ip6tables", s.IP6Tables(version)}, {"userland-proxy", s.On("userland-proxy", true)}} {
		if setting.on {
			s.on = append(s.on, setting.name)
		}
	}
	return s, err
}

// dockerVersion is the version of a Docker that answers soon; empty: none does.
func dockerVersion(ctx context.Context, socket string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	version, err := docker.Version(ctx, socket)
	if err != nil {
		return "" // whoever needs Docker says what is wrong with it
	}
	return version
}

func (a *app) daemonConfig() string {
	if a.dockerConfig != "" {
		return a.dockerConfig
	}
	return docker.ConfigFile
}

// makesNoRules is an error unless dockerd makes none. Its proxy has no part in that.
func (s dockerSetup) makesNoRules() error {
	var on []string
	for _, name := range s.on {
		if name != "userland-proxy" {
			on = append(on, name)
		}
	}
	switch {
	case len(on) > 0:
		return fmt.Errorf("dockerd has on %s and would make them again: %s", strings.Join(on, ", "), s.turnOff(on))
	case s.Stale:
		return fmt.Errorf("dockerd would make them again, for it has not read %s since that was changed: restart dockerd", s.File)
	}
	return nil
}

// turnOff says how to turn settings off.
func (s dockerSetup) turnOff(names []string) string {
	put := fmt.Sprintf("put %s into %s and restart dockerd", asJSON(names), s.File)
	if why := s.needsICC(); why != "" {
		return why + "; then " + put
	}
	return put
}

// needsICC says what has to go before iptables can be off; empty: nothing.
func (s dockerSetup) needsICC() string {
	if s.On("icc", true) {
		return ""
	}
	where := `"icc": false from ` + s.File
	if s.Flagged("icc") {
		where = "--icc=false from dockerd's command line"
	}
	return "first remove " + where + ", with which dockerd does not start without iptables: " +
		"the containers of its default network reach each other then, those of networks made with " +
		"\"--opt com.docker.network.bridge.enable_icc=false\" do not, under ebnet as before"
}

// asJSON writes settings that are to be turned off as the config file has them.
func asJSON(names []string) string {
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%q: false", name))
	}
	return strings.Join(parts, ", ")
}

// removeDockerRules is the command that removes what dockerd leaves behind when it
// starts with iptables off.
func (s dockerSetup) removeDockerRules() string {
	flag := "--docker"
	if s.socket != docker.Socket {
		flag += "=" + s.socket
	}
	return "sudo ebnet adopt " + flag + " --remove-rules"
}
