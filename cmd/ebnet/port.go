package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

func newPortCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "port [SANDBOX]",
		Short: "Show what is published",
		Args:  args(0, 1, "SANDBOX"),

		ValidArgsFunction: a.completeSandbox,
	}
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sandbox := ""
		if len(args) > 0 {
			sandbox = args[0]
			if err := api.ValidRef(sandbox); err != nil {
				return err
			}
		}
		published, err := a.client().Publishes(cmd.Context(), sandbox)
		if err != nil {
			return err
		}
		return printPublishes(cmd.OutOrStdout(), *output, published, sandbox != "")
	}
	return cmd
}

// printPublishes prints lines as `docker port` does, with the sandbox in front
// unless all are of one.
func printPublishes(w io.Writer, f format, published []api.Publish, ofOne bool) error {
	if f == formatTable && ofOne {
		for _, p := range published {
			fmt.Fprintf(w, "%s -> %s\n", targetSide(p), hostSide(p))
		}
		return nil
	}
	return f.print(w, published, []string{"SANDBOX", "PORT"}, func(t *table) {
		for _, p := range published {
			t.row(p.Sandbox, targetSide(p)+" -> "+hostSide(p))
		}
	})
}
