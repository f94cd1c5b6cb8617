package main

import (
	"io"
	"slices"

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
// unless all are of one, and who may connect behind them if that is not anyone.
func printPublishes(w io.Writer, f format, published []api.Publish, ofOne bool) error {
	limited := slices.ContainsFunc(published, func(p api.Publish) bool { return len(p.Allow) > 0 })
	columns := []string{"SANDBOX", "PORT"}
	if limited {
		columns = append(columns, "ALLOW")
	}
	if ofOne {
		columns = nil
	}
	return f.print(w, published, columns, func(t *table) {
		for _, p := range published {
			var cells []string
			if !ofOne {
				cells = append(cells, p.Sandbox)
			}
			cells = append(cells, targetSide(p)+" -> "+hostSide(p))
			if limited {
				cells = append(cells, describeAllow(p.Allow))
			}
			t.row(cells...)
		}
	})
}
