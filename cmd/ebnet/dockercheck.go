package main

import (
	"context"
	"strings"

	"github.com/ebnet/ebnet/control/firewall"
)

// checkDocker looks at how Docker is set up.
func (a *app) checkDocker(ctx context.Context) finding {
	f := finding{Check: "Docker", Result: good, Found: "not on this machine"}
	setup, err := a.dockerSetup(ctx, "/proc")
	switch {
	case err != nil:
		return f.unknown(err)
	case !setup.there:
		return f
	case len(setup.on) > 0:
		f.Found = "has on: " + strings.Join(setup.on, ", ")
		f.Advice = "for \"ebnet agent --docker\" " + setup.turnOff(setup.on)
	case setup.needsICC() != "":
		f.Found = "does not start again with its settings"
		f.Advice = setup.needsICC() + "; then restart dockerd"
	case setup.Stale:
		f.Found = "has not read " + setup.File + " since that was changed"
		f.Advice = "restart dockerd"
	default:
		f.Found = "leaves its rules and its proxy to others"
		return f
	}
	if setup.adopted {
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
	setup, err := a.dockerSetup(ctx, "/proc")
	if err != nil {
		return f.unknown(err)
	}
	if setup.adopted {
		f.Result, f.Found = warning, "they translate addresses beside ebnet"
		f.Advice = "with iptables off in " + setup.File + " restart dockerd and remove what it leaves: " + setup.removeDockerRules()
	}
	return f
}
