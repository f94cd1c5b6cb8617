package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ebnet/ebnet/control/engine/docker"
	"github.com/ebnet/ebnet/control/firewall"
)

// removedRule is one rule or chain of Docker's.
type removedRule struct {
	Family string `json:"family"` // IPv4 or IPv6
	Tool   string `json:"tool"`   // the iptables that shows it
	Table  string `json:"table"`
	Rule   string `json:"rule"` // as iptables-save prints it
}

// removeRules removes the rules that dockerd has left, or only says which these are.
func (a *app) removeRules(ctx context.Context, w io.Writer, socket string, dryRun bool, output format) error {
	if err := a.mayRemoveRules(ctx); err != nil {
		return fmt.Errorf("remove Docker's rules: %w", err)
	}
	left, err := leftovers(ctx, socket)
	if err != nil {
		return err
	}
	removed := []removedRule{}
	for _, l := range left {
		if !dryRun {
			if err = l.Remove(); err != nil {
				break // what others have lost is to be seen all the same
			}
		}
		for _, rule := range l.Rules {
			removed = append(removed, removedRule{l.Family, l.Tool, l.Table, rule})
		}
	}
	if err == nil {
		err = stillThere(left, dryRun)
	}
	return errors.Join(printRemoved(w, removed, output, err), err)
}

// mayRemoveRules refuses where containers would be without a network, or dockerd would
// make the rules again.
func (a *app) mayRemoveRules(ctx context.Context) error {
	status, err := a.client().Status(ctx)
	switch {
	case err != nil:
		return err
	case len(status.Engines) == 0:
		return errors.New("the agent does not serve Docker's networks, which would have nothing else: start it with --docker")
	case status.Engines[0].Version == "":
		return errors.New("the agent has not seen Docker's networks yet, which would have nothing else: see \"ebnet status\"")
	}
	setup, err := a.dockerSetup(ctx, "/proc")
	if err != nil {
		return err
	}
	return setup.makesNoRules()
}

// leftovers finds what dockerd has left, also about bridges that have names of their own.
func leftovers(ctx context.Context, socket string) ([]firewall.Leftover, error) {
	world, err := docker.Read(ctx, socket)
	if err != nil {
		return nil, fmt.Errorf("look at Docker's networks: %w", err)
	}
	var bridges []string
	for _, n := range world.Networks {
		bridges = append(bridges, n.Bridge)
	}
	left, err := firewall.DockerLeftovers(bridges)
	if err != nil {
		return nil, fmt.Errorf("look for Docker's rules: %w", err)
	}
	return left, nil
}

// stillThere says what is in the way of removing all of Docker's rules.
func stillThere(left []firewall.Leftover, dryRun bool) error {
	for _, l := range left {
		if len(l.Held) > 0 {
			return fmt.Errorf("chains of Docker's stay in table %s of %s, empty: remove what leads to them first: %s",
				l.Table, l.Family, strings.Join(l.Held, ", "))
		}
	}
	if dryRun && len(left) > 0 {
		return nil
	}
	there, err := firewall.DockerRules()
	if err == nil && there {
		err = errors.New("there are rules of Docker's that no iptables on this machine shows: see \"nft list ruleset\"")
	}
	return err
}

// printRemoved says that there were none only where that is so.
func printRemoved(w io.Writer, removed []removedRule, output format, failed error) error {
	if output == formatTable && len(removed) == 0 {
		if failed == nil {
			fmt.Fprintln(w, "no rules of Docker's are there")
		}
		return nil
	}
	return output.print(w, removed, []string{"FAMILY", "TOOL", "TABLE", "RULE OR CHAIN"}, func(t *table) {
		for _, r := range removed {
			t.row(r.Family, r.Tool, r.Table, r.Rule)
		}
	})
}
