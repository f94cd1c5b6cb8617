package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control"
	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine/docker"
)

func newAdoptCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adopt --docker [--remove-rules] [--dry-run]",
		Short: "Show what adopting Docker's networks would change, or remove the rules that Docker leaves",
		Long: "With --dry-run, show what an agent with --docker would do to each of Docker's networks, containers and published\n" +
			"ports. It reads Docker and the kernel itself and changes nothing; an agent may run or not.\n\n" +
			"With --remove-rules, remove the iptables rules that dockerd leaves behind when its iptables is turned off: its\n" +
			"chains, and those rules in the kernel's chains that are just as Docker makes them. All others stay, and so does\n" +
			"DOCKER-USER, in use, where there are rules of yours in it. It prints what it removes, or with --dry-run would\n" +
			"remove. It refuses while dockerd makes rules, or no agent serves Docker's networks.",
		Args: socketArgs,
	}
	var socket socketFlag
	addDocker(cmd.Flags(), &socket, "the Docker daemon at `SOCKET`")
	dryRun := cmd.Flags().Bool("dry-run", false, "only show it")
	rules := cmd.Flags().Bool("remove-rules", false, "remove the iptables rules that dockerd has left")
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case socket == "":
			return usagef(cmd, "which engine? give --docker")
		case !*dryRun && !*rules:
			return usagef(cmd, "\"ebnet agent --docker\" adopts, for as long as it runs: start that, "+
				"or give --dry-run to see what it does, or --remove-rules")
		}
		if err := a.needRoot(cmd); err != nil {
			return err
		}
		if *rules {
			return a.removeRules(cmd.Context(), cmd.OutOrStdout(), string(socket), *dryRun, *output)
		}
		return a.showAdoption(cmd.Context(), cmd.OutOrStdout(), string(socket), *output)
	}
	return cmd
}

// showAdoption prints what an agent would do.
func (a *app) showAdoption(ctx context.Context, w io.Writer, socket string, output format) error {
	lines, err := a.previewAdoption(ctx, socket)
	if err != nil {
		return fmt.Errorf("look at Docker's networks: %w", err)
	}
	return output.print(w, lines, []string{"KIND", "NAME", "WHAT", "WHAT HAPPENS"}, func(t *table) {
		for _, l := range lines {
			t.row(l.Kind, l.Name, l.What, l.Action)
		}
	})
}

// previewAdoption reads Docker, and what an agent publishes if one runs.
func (a *app) previewAdoption(ctx context.Context, socket string) ([]control.Preview, error) {
	world, err := docker.Read(ctx, socket)
	if err != nil {
		return nil, err
	}
	published, err := a.client().Publishes(ctx, "")
	if err != nil && !errors.Is(err, api.ErrNoAgent) {
		return nil, err
	}
	lines, err := control.PreviewAdoption(world, published)
	if err != nil {
		return nil, err
	}
	setup, err := a.dockerSetup(ctx, "/proc")
	if err != nil {
		return nil, err
	}
	if why := setup.needsICC(); why != "" {
		lines = append([]control.Preview{{Kind: "setting", Name: "icc", What: "false", Action: why}}, lines...)
	}
	return lines, nil
}
