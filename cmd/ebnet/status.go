package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

// statusInterval is how often `status --wait` asks again.
const statusInterval = 100 * time.Millisecond

func newStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Is the agent up, and is the kernel as it should be",
		Long: "Tell whether the agent is up and the kernel as it should be.\n\n" +
			"The exit status is 0 if it is ready (with --strict: and has no problems), 3 without an agent, 4 if it is not ready.",
		Args: args(0, 0, ""),
	}
	output := addOutput(cmd, formatTable)
	wait := cmd.Flags().Duration("wait", 0, "wait this long for the agent to be ready, such as 30s")
	strict := cmd.Flags().Bool("strict", false, "exit with 1 if there are problems")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		status, err := waitReady(cmd.Context(), a.client(), *wait)
		if errors.Is(err, api.ErrNoAgent) {
			return &statusError{statusNoAgent, err}
		}
		if errors.Is(err, api.ErrNotReady) {
			return &statusError{statusNotReady, err}
		}
		if err != nil {
			return err
		}
		if *output == formatJSON {
			err = api.WriteJSON(cmd.OutOrStdout(), status)
		} else {
			err = printStatus(cmd.OutOrStdout(), status)
		}
		switch {
		case err != nil:
			return err
		case !status.Ready:
			return &statusError{statusNotReady, errors.New("the agent is not ready yet: wait with \"ebnet status --wait 30s\"")}
		case *strict && len(status.Problems) > 0:
			return &statusError{statusFailed, fmt.Errorf("the agent has problems: %s", strings.Join(status.Problems, "; "))}
		}
		return nil
	}
	return cmd
}

// waitReady asks until the agent is ready or the time is over, and returns
// the last answer.
func waitReady(ctx context.Context, client *api.Client, wait time.Duration) (api.Status, error) {
	deadline := time.Now().Add(wait)
	for {
		status, err := client.Status(ctx)
		done := err == nil && status.Ready
		again := err == nil || errors.Is(err, api.ErrNoAgent) || errors.Is(err, api.ErrNotReady)
		if done || !again || time.Now().Add(statusInterval).After(deadline) {
			return status, err
		}
		select {
		case <-ctx.Done():
			return status, ctx.Err()
		case <-time.After(statusInterval):
		}
	}
}

func printStatus(w io.Writer, s api.Status) error {
	state := "ready"
	if !s.Ready {
		state = "not ready"
	}
	t := newTable(w)
	t.row("Agent:", state+", version "+s.Version)
	t.row("Uplinks:", describeUplinks(s.Uplinks))
	t.row("Networks:", fmt.Sprint(s.Networks))
	t.row("Endpoints:", fmt.Sprint(s.Endpoints))
	t.row("Published:", fmt.Sprintf("%d ports", s.Published))
	t.row("Flows:", fmt.Sprintf("%d of %d", s.Flows, s.FlowsLimit))
	t.row("Programs:", fmt.Sprint(len(s.Programs)))
	t.row("Maps:", fmt.Sprintf("%d, %s", len(s.Maps), describeMemory(s.Maps)))
	for _, engine := range s.Engines {
		printEngine(t, engine)
	}
	problems := s.Problems
	if len(problems) == 0 {
		problems = []string{"none"}
	}
	for i, problem := range problems {
		title := "Problems:"
		if i > 0 {
			title = ""
		}
		t.row(title, problem)
	}
	return t.flush()
}

// printEngine prints an engine, and in a line each which of its networks are in the
// same state.
func printEngine(t *table, e api.Engine) {
	state := "version " + e.Version
	if !e.Connected {
		state = "not connected"
	}
	t.row("Engine:", fmt.Sprintf("%s at %s, %s", e.Name, e.Socket, state))
	byState := map[string][]string{}
	for _, n := range e.Networks {
		byState[n.State] = append(byState[n.State], n.Name)
	}
	for _, state := range slices.Sorted(maps.Keys(byState)) {
		t.row("", strings.Join(byState[state], ", ")+": "+state)
	}
}

func describeUplinks(uplinks []api.Uplink) string {
	if len(uplinks) == 0 {
		return "none"
	}
	texts := make([]string, len(uplinks))
	for i, uplink := range uplinks {
		texts[i] = strings.TrimSpace(uplink.Name + " " + list(uplink.Addresses))
	}
	return strings.Join(texts, ", ")
}

func describeMemory(maps []api.Map) string {
	var bytes uint64
	for _, m := range maps {
		bytes += m.Bytes
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}
