package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

// Exit statuses beside 0.
const (
	statusFailed     = 1
	statusUsage      = 2
	statusNoAgent    = 3   // of `ebnet status`
	statusNotReady   = 4   // of `ebnet status`
	statusOwn        = 125 // of exec and run: the failure is ebnet's, not the command's
	statusNotRunning = 126 // of exec and run: the command cannot be executed
	statusNotFound   = 127 // of exec and run: there is no such command
	statusSignal     = 128 // of run: plus the signal that ended the command
)

// runsCommand marks commands whose exit status is that of another command.
const runsCommand = "runs-command"

// usageError says that the command line is wrong.
type usageError struct {
	command string // to ask for help
	err     error
}

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd.CommandPath(), fmt.Errorf(format, args...)}
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v: see \"%s --help\"", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

// statusError ends ebnet with a certain status; without err it prints nothing.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// exitStatus is the only place that turns an error into an exit status.
func exitStatus(cmd *cobra.Command, err error) int {
	var status *statusError
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return status.status
	case cmd.Annotations[runsCommand] != "":
		return statusOwn
	case errors.As(err, &usage), errors.Is(err, api.ErrBadRequest):
		return statusUsage
	}
	return statusFailed
}

// printError writes an error as one line, whatever it contains. What several
// arguments failed of, such as the agent's absence, is said once.
func printError(stderr io.Writer, err error) {
	var status *statusError
	if err == nil || errors.As(err, &status) && status.err == nil {
		return
	}
	lines := strings.FieldsFunc(err.Error(), func(c rune) bool { return c == '\n' || c == '\r' })
	fmt.Fprintf(stderr, "ebnet: %s\n", strings.Join(slices.Compact(lines), "; "))
}
