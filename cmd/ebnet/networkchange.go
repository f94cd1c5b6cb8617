package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ebnet/ebnet/control/api"
)

func newNetworkRemoveCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "rm NAME...",
		Aliases: []string{"remove"},
		Short:   "Remove networks that nothing is attached to",
		Args:    args(1, -1, "NAME"),

		ValidArgsFunction: a.completeNetworks,
	}
	force := cmd.Flags().BoolP("force", "f", false, "a network that does not exist is no error")
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		client := a.client()
		var errs []error
		for _, name := range names {
			err := client.RemoveNetwork(cmd.Context(), name)
			switch {
			case *force && errors.Is(err, api.ErrNotFound):
			case err != nil:
				errs = append(errs, err)
			default:
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
		}
		return errors.Join(errs...)
	}
	return cmd
}

func newNetworkConnectCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "connect NETWORK SANDBOX",
		Short: "Attach a running sandbox to a network",
		Long: "Attach a running sandbox to a network: it gets its next interface, eth1 behind eth0.\n\n" +
			"Its default route stays where it is, unless it has none yet.",
		Example: "  ebnet network connect blue web --ip 10.7.0.9",
		Args:    args(2, 2, "NETWORK SANDBOX"),

		ValidArgsFunction: a.completeConnect,
	}
	ip := cmd.Flags().String("ip", "", "its `IP` in the network (default: a free one)")
	ip6 := cmd.Flags().String("ip6", "", "its IPv6 `address` in the network (default: a free one)")
	mac := cmd.Flags().String("mac", "", "its `MAC` address in the network (default: made from the IP)")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "mac-address" { // podman's
			name = "mac"
		}
		return pflag.NormalizedName(name)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		connect := api.NetworkConnect{Sandbox: args[1]}
		var err error
		if cmd.Flags().Changed("ip") {
			if connect.IP, err = parseAddr(*ip); err != nil {
				return usagef(cmd, "bad --ip %q: %w", *ip, err)
			}
		}
		if cmd.Flags().Changed("ip6") {
			if connect.IP6, err = parseAddr(*ip6); err != nil || !connect.IP6.Is6() {
				return usagef(cmd, "bad --ip6 %q: not an IPv6 address", *ip6)
			}
		}
		if cmd.Flags().Changed("mac") {
			if connect.MAC, err = api.ParseMAC(*mac); err != nil {
				return usagef(cmd, "bad --mac: %w", err)
			}
		}
		_, err = a.client().ConnectNetwork(cmd.Context(), args[0], connect)
		return err
	}
	return cmd
}

func newNetworkDisconnectCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "disconnect NETWORK SANDBOX",
		Short: "End a sandbox's attachment to a network",
		Long: "End a sandbox's attachment to a network, and what is published at its address there.\n\n" +
			"If its default route led there, it moves to the first interface that is left.",
		Args: args(2, 2, "NETWORK SANDBOX"),

		ValidArgsFunction: a.completeDisconnect,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.client().DisconnectNetwork(cmd.Context(), args[0], api.NetworkDisconnect{Sandbox: args[1]})
		},
	}
}
