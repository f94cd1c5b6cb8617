package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ebnet/ebnet/control/firewall"
)

// removeDockerRules is the command that removes what dockerd leaves behind when it
// starts with iptables off.
const removeDockerRules = "sudo ebnet adopt --docker --remove-rules"

// checkDocker looks at how Docker is set up.
func (a *app) checkDocker(ctx context.Context) finding {
	f := finding{Check: "Docker", Result: good, Found: "not on this machine"}
	setup, err := a.dockerSetup("/proc")
	switch {
	case err != nil:
		return f.unknown(err)
	case !setup.there:
		return f
	case len(setup.on) > 0:
		f.Found = "has on: " + strings.Join(setup.on, ", ")
		f.Advice = fmt.Sprintf("for \"ebnet agent --docker\" put %s into %s and restart dockerd", asJSON(setup.on), setup.config)
	case setup.stale:
		f.Found = "has not read its settings since they were changed"
		f.Advice = "restart dockerd"
	default:
		f.Found = "leaves its rules and its proxy to others"
		return f
	}
	if a.adopts(ctx) {
		f.Result = warning
	}
	return f
}

// checkDockerRules looks for the rules that Docker makes, or has left.
func (a *app) checkDockerRules(ctx context.Context) finding {
	f := finding{Check: "Docker's rules", Result: good, Found: "none"}
	there, err := firewall.DockerRules()
	if err != nil {
		return f.unknown(err)
	}
	if !there {
		return f
	}
	f.Found = "they translate addresses"
	if a.adopts(ctx) {
		f.Result, f.Found = warning, "they translate addresses beside ebnet"
		f.Advice = "with iptables off in " + a.daemonConfig() + " restart dockerd and remove what it leaves: " + removeDockerRules
	}
	return f
}

// adopts tells whether the running agent serves Docker's networks.
func (a *app) adopts(ctx context.Context) bool {
	status, err := a.client().Status(ctx)
	return err == nil && len(status.Engines) > 0
}

// asJSON writes settings that are to be turned off as the config file has them.
func asJSON(names []string) string {
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%q: false", name))
	}
	return strings.Join(parts, ", ")
}
