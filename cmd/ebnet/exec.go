package main

import (
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

func newExecCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec NAME -- COMMAND [ARG]...",
		Short: "Run a command in a sandbox",
		Long: "Run a command in a sandbox's network namespace, with the sandbox's /etc/resolv.conf.\n\n" +
			"The exit status is the command's own; 125 if ebnet fails, 126 if the command cannot be executed, 127 if it is not found.",
		Example:     "  ebnet exec db -- curl http://example.com/",
		Annotations: map[string]string{runsCommand: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef(cmd, "missing argument: NAME")
			}
			name, words := args[0], commandOf(args[1:])
			if len(words) == 0 {
				return usagef(cmd, "missing argument: COMMAND")
			}
			if err := a.needRoot(cmd); err != nil {
				return err
			}
			return a.exec(cmd, name, words)
		},
	}
	cmd.ValidArgsFunction = a.completeSandbox
	cmd.Flags().SetInterspersed(false) // what stands behind NAME is the command's
	return cmd
}

// exec becomes the command, so that signals, the terminal and the exit status
// need nobody in between. It returns only if that fails.
func (a *app) exec(cmd *cobra.Command, name string, words []string) error {
	sandbox, err := a.client().Sandbox(cmd.Context(), name)
	if err != nil {
		return err
	}
	path, err := findCommand(words[0])
	if err != nil {
		return err
	}
	if err := enter(sandbox, a.etcNetns); err != nil {
		return err
	}
	return startError(words[0], syscall.Exec(path, words, os.Environ()))
}
