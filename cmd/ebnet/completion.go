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

// completeNetworks offers the networks' names for all arguments, or for a flag.
func (a *app) completeNetworks(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.networkNames(cmd), cobra.ShellCompDirectiveNoFileComp
}

// completeConnect offers networks, then sandboxes.
func (a *app) completeConnect(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return a.networkNames(cmd), cobra.ShellCompDirectiveNoFileComp
	case 1:
		return a.sandboxNames(cmd), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeDisconnect offers networks, then the sandboxes that are attached.
func (a *app) completeDisconnect(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeConnect(cmd, args, toComplete)
	}
	network, err := a.client().Network(cmd.Context(), args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]string, len(network.Endpoints))
	for i, endpoint := range network.Endpoints {
		names[i] = endpoint.Sandbox
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) networkNames(cmd *cobra.Command) []string {
	networks, err := a.client().Networks(cmd.Context())
	if err != nil {
		return nil
	}
	names := make([]string, len(networks))
	for i, network := range networks {
		names[i] = network.Name
	}
	return names
}
