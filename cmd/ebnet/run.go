package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
)

// removeTimeout bounds how long the end of `ebnet run` waits for the agent.
const removeTimeout = 30 * time.Second

func newRunCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [FLAG]... -- COMMAND [ARG]...",
		Short: "Create a sandbox, run a command in it, remove it at the end",
		Long: "Create a sandbox, run a command in it in the foreground, and remove the sandbox when the command has ended.\n\n" +
			"The exit status is the command's own; 125 if ebnet fails, 126 if the command cannot be executed,\n" +
			"127 if it is not found, 128+N if signal N ended it.",
		Example:     "  ebnet run --name web -p 8080:80 -- nginx -g 'daemon off;'",
		Annotations: map[string]string{runsCommand: "yes"},
	}
	cmd.Flags().SetInterspersed(false) // what stands behind the flags is the command's
	name := cmd.Flags().String("name", "", "name of the sandbox (default: one of the agent's choosing)")
	flags := addSandboxFlags(a, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		words := commandOf(args)
		if len(words) == 0 {
			return usagef(cmd, "missing argument: COMMAND")
		}
		if cmd.Flags().Changed("name") {
			if err := api.ValidName(*name); err != nil {
				return err
			}
		}
		create, err := flags.request(cmd, *name)
		if err != nil {
			return err
		}
		if err := a.needRoot(cmd); err != nil {
			return err
		}
		return a.run(cmd, create, words)
	}
	return cmd
}

// run creates the sandbox, waits for its command and removes the sandbox. The
// agent knows our process as its owner: if we are killed, it cleans up.
func (a *app) run(cmd *cobra.Command, create api.SandboxCreate, words []string) (err error) {
	path, err := findCommand(words[0])
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded()...)
	defer signal.Stop(signals)

	client := a.client()
	create.OwnerPID = os.Getpid()
	sandbox, err := createOrSignal(cmd.Context(), client, create, signals)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), removeTimeout)
		defer cancel()
		if removeErr := client.RemoveSandbox(ctx, sandbox.Name); removeErr != nil && !isGoing(removeErr) {
			printError(cmd.ErrOrStderr(), fmt.Errorf("remove sandbox %s: %w", sandbox.Name, removeErr))
			if err == nil {
				err = &statusError{status: statusOwn}
			}
		}
	}()
	c := command{path: path, words: words, stdin: a.stdin, signals: signals}
	status, err := c.run(func() error { return enter(sandbox, a.etcNetns) })
	switch {
	case err != nil:
		return err
	case status.Signaled():
		return &statusError{status: statusSignal + int(status.Signal())}
	case status.ExitStatus() != 0:
		return &statusError{status: status.ExitStatus()}
	}
	return nil
}

// isGoing tells whether a sandbox needs no removal by us: it is gone, or the agent
// is, which removes what has lost its owner when it starts again.
func isGoing(err error) bool {
	return errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrNotReady) || errors.Is(err, api.ErrNoAgent)
}

// createOrSignal creates the sandbox unless a signal that ends programs comes
// first.
func createOrSignal(ctx context.Context, client *api.Client, create api.SandboxCreate, signals chan os.Signal) (api.Sandbox, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		sandbox api.Sandbox
		err     error
	}
	answers := make(chan answer, 1)
	go func() {
		sandbox, err := client.CreateSandbox(ctx, create)
		answers <- answer{sandbox, err}
	}()
	for {
		select {
		case a := <-answers:
			return a.sandbox, a.err
		case s := <-signals:
			number := s.(unix.Signal)
			if !ends(number) {
				continue
			}
			cancel()
			// The agent may have been faster than the signal.
			if a := <-answers; a.err == nil {
				if err := client.RemoveSandbox(context.WithoutCancel(ctx), a.sandbox.Name); err != nil {
					return api.Sandbox{}, err
				}
			}
			return api.Sandbox{}, &statusError{status: statusSignal + int(number)}
		}
	}
}

// ends tells whether a signal is meant to end a program.
func ends(s unix.Signal) bool {
	switch s {
	case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
		return true
	}
	return false
}
