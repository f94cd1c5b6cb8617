package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// verdict is how a check of `ebnet doctor` ended.
type verdict string

const (
	good    verdict = "ok"
	warning verdict = "warning" // works, but people should know
	problem verdict = "problem" // ebnet cannot do its job
)

// finding is the result of one check.
type finding struct {
	Check  string  `json:"check"`
	Result verdict `json:"result"`
	Found  string  `json:"found"`
	Advice string  `json:"advice"` // what to do; empty if nothing
}

func newDoctorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Can this machine run ebnet",
		Long: "Look at the kernel, the mounts, the host's firewall and at what else is on the hooks that ebnet needs.\n\n" +
			"The exit status is 1 if there are problems; warnings do not count.",
		Args: args(0, 0, ""),
	}
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		findings, problems := []finding(nil), 0
		for _, check := range a.checks() {
			f := check(cmd.Context())
			findings = append(findings, f)
			if f.Result == problem {
				problems++
			}
		}
		err := output.print(cmd.OutOrStdout(), findings, []string{"CHECK", "RESULT", "FOUND", "WHAT TO DO"}, func(t *table) {
			for _, f := range findings {
				t.row(f.Check, string(f.Result), f.Found, f.Advice)
			}
		})
		if err == nil && problems > 0 {
			err = fmt.Errorf("this machine cannot run ebnet yet, problems: %d", problems)
		}
		return err
	}
	return cmd
}
