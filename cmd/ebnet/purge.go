package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

// purgeTimeout bounds how long a purged agent may take to exit, and
// purgeInterval is how often we look.
const (
	purgeTimeout  = 10 * time.Second
	purgeInterval = 50 * time.Millisecond
)

func newPurgeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove all that ebnet put into the kernel",
		Long: "Remove all that ebnet put into the kernel, end the sandboxes' processes and make the agent exit.\n" +
			"It works without an agent, too; then the folders tell what is to be removed. The store stays, unless --all is given.",
		Args: args(0, 0, ""),
	}
	where := addPlace(cmd.Flags())
	all := cmd.Flags().Bool("all", false, "delete the store as well")
	config := cmd.Flags().String("config", a.config, "the agent's config `file`, for its folders")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := loadPlace(cmd, *config); err != nil {
			return err
		}
		if !cmd.Flags().Changed("socket") && a.getenv("EBNET_SOCKET") == "" {
			a.socket = where.socket()
		}
		client := a.client()
		err := client.Purge(cmd.Context(), api.Purge{All: *all})
		if err == nil {
			return waitGone(cmd.Context(), client)
		}
		if !errors.Is(err, api.ErrNoAgent) {
			return err
		}
		if a.socketPath() != where.socket() {
			return fmt.Errorf("%w; without an agent give --run and its other folders instead of --socket", err)
		}
		if err := a.needRoot(cmd); err != nil {
			return err
		}
		return purgeWithoutAgent(*where, *all)
	}
	return cmd
}

// loadPlace sets the folders that the agent's config file names and the command
// line does not.
func loadPlace(cmd *cobra.Command, config string) error {
	var agent cobra.Command
	addAgentFlags(agent.Flags(), config)
	if err := loadConfig(agent.Flags(), config, !cmd.Flags().Changed("config")); err != nil {
		return err
	}
	for _, name := range []string{"state", "run", "bpffs", "netns-prefix"} {
		if cmd.Flags().Changed(name) {
			continue
		}
		if err := cmd.Flags().Lookup(name).Value.Set(agent.Flags().Lookup(name).Value.String()); err != nil {
			return err
		}
	}
	return nil
}

// waitGone waits until the agent that was purged has exited.
func waitGone(ctx context.Context, client *api.Client) error {
	client.Close()
	deadline := time.Now().Add(purgeTimeout)
	for time.Now().Before(deadline) {
		if _, err := client.Version(ctx); errors.Is(err, api.ErrNoAgent) {
			return nil
		}
		client.Close()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(purgeInterval):
		}
	}
	return fmt.Errorf("everything is removed, but the agent has not exited within %s", purgeTimeout)
}
