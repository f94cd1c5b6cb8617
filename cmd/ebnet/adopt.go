package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control"
	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine/docker"
)

func newAdoptCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adopt --docker --dry-run",
		Short: "Show what adopting Docker's networks would change",
		Long: "Show what an agent with --docker would do to each of Docker's networks, containers and published ports.\n" +
			"It reads Docker and the kernel itself and changes nothing; an agent may run or not.",
		Args: socketArgs,
	}
	var socket socketFlag
	addDocker(cmd.Flags(), &socket, "the Docker daemon at `SOCKET`")
	dryRun := cmd.Flags().Bool("dry-run", false, "only show it, which is all that this command can do")
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case socket == "":
			return usagef(cmd, "which engine? give --docker")
		case !*dryRun:
			return usagef(cmd, "\"ebnet agent --docker\" adopts, for as long as it runs: start that, or give --dry-run to see what it does")
		}
		if err := a.needRoot(cmd); err != nil {
			return err
		}
		lines, err := a.previewAdoption(cmd.Context(), string(socket))
		if err != nil {
			return fmt.Errorf("look at Docker's networks: %w", err)
		}
		return output.print(cmd.OutOrStdout(), lines, []string{"KIND", "NAME", "WHAT", "WHAT HAPPENS"}, func(t *table) {
			for _, l := range lines {
				t.row(l.Kind, l.Name, l.What, l.Action)
			}
		})
	}
	return cmd
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
	return control.PreviewAdoption(world, published)
}
