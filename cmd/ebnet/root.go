package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ebnet/ebnet/control/api"
)

const defaultSocket = "/run/ebnet/ebnet.sock"

// app is what the commands know of the world around them.
type app struct {
	getenv   func(string) string
	euid     func() int
	stdin    *os.File
	etcNetns string // where `ip netns exec` finds a namespace's resolv.conf
	config   string // the agent's config file, unless --config names another
	socket   string // value of --socket

	dockerConfig string // Docker's config file; empty: where it is by default
}

// main runs one command line and returns its exit status.
func (a *app) main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand(a)
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	printError(stderr, err)
	return exitStatus(cmd, err)
}

func newRootCommand(a *app) *cobra.Command {
	root := newGroup("ebnet", "eBPF networking for containers",
		newAgentCommand(a),
		newSandboxCommand(a),
		newNetworkCommand(a),
		newExecCommand(a),
		newRunCommand(a),
		newPublishCommand(a),
		newUnpublishCommand(a),
		newAllowCommand(a),
		newPortCommand(a),
		newFlowsCommand(a),
		newStatusCommand(a),
		newDoctorCommand(a),
		newAdoptCommand(a),
		newPurgeCommand(a),
		newVersionCommand(a),
		newCompletionCommand(),
		newManCommand(),
	)
	root.Long = "ebnet connects containers with eBPF: networks, sandboxes and published ports\n" +
		"without iptables, IP forwarding, connection tracking or a proxy process."
	root.CompletionOptions.DisableDefaultCmd = true
	root.SilenceErrors = true
	root.SilenceUsage = true
	root.PersistentFlags().StringVar(&a.socket, "socket", "",
		"`path` of the agent's socket (or EBNET_SOCKET; default "+defaultSocket+")")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef(cmd, "%w", plainFlagError(err)) })
	return root
}

// plainFlagError says what a flag takes, where the parser's own words are those
// of Go.
func plainFlagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	want, known := map[string]string{"bool": "use true or false", "int": "not a number", "socket": "give the absolute path of a socket"}[bad.GetFlag().Value.Type()]
	if !known {
		return err
	}
	return fmt.Errorf("bad --%s %q: %s", bad.GetFlag().Name, bad.GetValue(), want)
}

// newGroup is a command that only has others below it. Alone it prints its help.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return usagef(cmd, "unknown command %q", args[0])
		},
	}
	group.AddCommand(commands...)
	return group
}

// socketPath is --socket, EBNET_SOCKET or the default, in this order.
func (a *app) socketPath() string {
	if a.socket != "" {
		return a.socket
	}
	if path := a.getenv("EBNET_SOCKET"); path != "" {
		return path
	}
	return defaultSocket
}

func (a *app) client() *api.Client { return api.NewClient(a.socketPath()) }

// needRoot is an error for everybody but root.
func (a *app) needRoot(cmd *cobra.Command) error {
	if a.euid() == 0 {
		return nil
	}
	return fmt.Errorf("%s needs root: run it with sudo", cmd.CommandPath())
}

// args checks how many arguments a command got; most < 0 is any number. what
// names them in the error.
func args(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef(cmd, "missing argument: %s", what)
		case most == 0 && len(args) > 0:
			return usagef(cmd, "unexpected argument %q", args[0])
		case most >= 0 && len(args) > most:
			return usagef(cmd, "unexpected argument %q behind %s", args[most], what)
		}
		return nil
	}
}
