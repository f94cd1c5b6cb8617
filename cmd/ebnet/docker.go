package main

import (
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ebnet/ebnet/control/engine/docker"
)

// socketFlag is the value of --docker[=SOCKET]; empty: not given, or false.
type socketFlag string

func (f *socketFlag) String() string { return string(*f) }
func (f *socketFlag) Type() string   { return "socket" }

// Set also takes what JSON has for a switch.
func (f *socketFlag) Set(text string) error {
	path := strings.TrimPrefix(text, "unix://")
	switch {
	case text == "true":
		path = docker.Socket
	case text == "false":
		path = ""
	case !filepath.IsAbs(path):
		return errors.New("give the absolute path of a socket")
	}
	*f = socketFlag(path)
	return nil
}

// addDocker adds --docker, which needs no value.
func addDocker(flags *pflag.FlagSet, value *socketFlag, usage string) {
	flags.Var(value, "docker", usage)
	flags.Lookup("docker").NoOptDefVal = docker.Socket
}

// socketArgs refuses arguments. One behind --docker was meant to be its value.
func socketArgs(cmd *cobra.Command, words []string) error {
	if len(words) > 0 && cmd.Flags().Changed("docker") {
		return usagef(cmd, "unexpected argument %q: write --docker=%s", words[0], words[0])
	}
	return args(0, 0, "")(cmd, words)
}
