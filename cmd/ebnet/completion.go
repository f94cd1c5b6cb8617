package main

import (
	"github.com/spf13/cobra"
)

func newCompletionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print the script that completes command lines in bash, zsh, fish or powershell",
		Example:   "  ebnet completion bash > /etc/bash_completion.d/ebnet",
		Args:      args(1, 1, "SHELL"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return usagef(cmd, "unknown shell %q: use bash, zsh, fish or powershell", args[0])
		},
	}
}

// completeSandbox offers the sandboxes' names for the first argument, or for a
// flag. Without an agent there are none to offer.
func (a *app) completeSandbox(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return a.sandboxNames(cmd), cobra.ShellCompDirectiveNoFileComp
}

// completeSandboxes offers the sandboxes' names for all arguments.
func (a *app) completeSandboxes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.sandboxNames(cmd), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) sandboxNames(cmd *cobra.Command) []string {
	sandboxes, err := a.client().Sandboxes(cmd.Context())
	if err != nil {
		return nil
	}
	names := make([]string, len(sandboxes))
	for i, sandbox := range sandboxes {
		names[i] = sandbox.Name
	}
	return names
}
