package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

func newFlowsCommand(a *app) *cobra.Command {
	// `ebnet flows` alone is `ebnet flows ls`.
	cmd := newFlowsListCommand(a)
	cmd.Use, cmd.Aliases, cmd.Short = "flows", nil, "Show and end translated connections"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef(cmd, "unknown command %q", args[0])
		}
		return nil
	}
	cmd.AddCommand(newFlowsListCommand(a), newFlowsFlushCommand(a))
	return cmd
}

func newFlowsListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Aliases: []string{"list"}, Short: "List translated connections", Args: args(0, 0, "")}
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		flows, err := a.client().Flows(cmd.Context())
		if err != nil {
			return err
		}
		columns := []string{"PROTO", "SOURCE", "DESTINATION", "NAT SOURCE", "NAT DESTINATION", "KIND", "STATE", "SANDBOX", "AGE", "IDLE", "PACKETS", "BYTES"}
		return output.print(cmd.OutOrStdout(), flows, columns, func(t *table) {
			for _, f := range flows {
				t.row(f.Proto, f.Src, f.Dst, f.NATSrc, f.NATDst, f.Kind, f.State, f.Sandbox, seconds(f.AgeSeconds), seconds(f.IdleSeconds),
					strconv.FormatUint(f.Packets, 10), strconv.FormatUint(f.Bytes, 10))
			}
		})
	}
	return cmd
}

func seconds(n int64) string { return (time.Duration(n) * time.Second).String() }

func newFlowsFlushCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "flush --to SANDBOX | --port SPEC | --all",
		Short: "End translated connections",
		Long:  "End translated connections. The next packet of each is treated as a new one. How many there were is printed.",
		Args:  args(0, 0, ""),
	}
	var flush api.FlowsFlush
	cmd.Flags().StringVar(&flush.Sandbox, "to", "", "those of a `sandbox`")
	_ = cmd.RegisterFlagCompletionFunc("to", a.completeSandboxes)
	port := cmd.Flags().String("port", "", "those of a published port, `[HOSTIP:]HOSTPORT[-END][/PROTO]`")
	cmd.Flags().BoolVar(&flush.All, "all", false, "all of them")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		given := 0
		for _, name := range []string{"to", "port", "all"} {
			if cmd.Flags().Changed(name) {
				given++
			}
		}
		if given != 1 {
			return usagef(cmd, "which flows? give one of --to, --port and --all")
		}
		if cmd.Flags().Changed("to") {
			if err := api.ValidRef(flush.Sandbox); err != nil {
				return err
			}
		}
		if cmd.Flags().Changed("port") {
			host, err := api.ParseHostSpec(*port)
			if err != nil {
				return err
			}
			flush.Port = &host
		}
		flushed, err := a.client().FlushFlows(cmd.Context(), flush)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), flushed.Ended)
		return nil
	}
	return cmd
}
