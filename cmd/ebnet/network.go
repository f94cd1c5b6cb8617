package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

// shortID is how much of an ID a table shows, as docker does.
const shortID = 12

func newNetworkCommand(a *app) *cobra.Command {
	return newGroup("network", "Networks that sandboxes are attached to",
		newNetworkCreateCommand(a),
		newNetworkListCommand(a),
		newNetworkInspectCommand(a),
		newNetworkRemoveCommand(a),
		newNetworkConnectCommand(a),
		newNetworkDisconnectCommand(a),
	)
}

func newNetworkListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Aliases: []string{"list"}, Short: "List networks", Args: args(0, 0, "")}
	output := addOutput(cmd, formatTable)
	filter := addFilter(cmd, "driver, id, label, name, owner, scope")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "print names only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := filter.check(cmd, networkSubject(api.Network{})); err != nil {
			return err
		}
		all, err := a.client().Networks(cmd.Context())
		if err != nil {
			return err
		}
		var shown []api.Network
		for _, network := range all {
			if filter.match(networkSubject(network)) {
				shown = append(shown, network)
			}
		}
		if *quiet {
			for _, network := range shown {
				fmt.Fprintln(cmd.OutOrStdout(), network.Name)
			}
			return nil
		}
		columns := []string{"NETWORK ID", "NAME", "DRIVER", "SCOPE", "SUBNET", "BRIDGE", "OWNER"}
		return output.print(cmd.OutOrStdout(), shown, columns, func(t *table) {
			for _, n := range shown {
				t.row(n.ID[:min(len(n.ID), shortID)], n.Name, n.Driver, n.Scope, list(n.Subnets), n.Bridge, n.Owner)
			}
		})
	}
	return cmd
}

func networkSubject(n api.Network) subject {
	return subject{labels: n.Labels, texts: map[string][]string{
		"name": {n.Name}, "id": {n.ID}, "owner": {n.Owner}, "driver": {n.Driver}, "scope": {n.Scope},
	}}
}

func newNetworkInspectCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect NAME...", Short: "Show all of networks", Args: args(1, -1, "NAME"), ValidArgsFunction: a.completeNetworks}
	output := addOutput(cmd, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		client := a.client()
		var found []api.Network
		var errs []error
		for _, name := range names {
			network, err := client.Network(cmd.Context(), name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			found = append(found, network)
		}
		if len(found) > 0 {
			columns := []string{"NAME", "DRIVER", "SUBNET", "GATEWAY", "BRIDGE", "MTU", "ENDPOINTS", "OWNER"}
			errs = append(errs, output.print(cmd.OutOrStdout(), found, columns, func(t *table) {
				for _, n := range found {
					t.row(n.Name, n.Driver, list(n.Subnets), list(n.Gateways), n.Bridge, strconv.Itoa(n.MTU), strconv.Itoa(len(n.Endpoints)), n.Owner)
				}
			}))
		}
		return errors.Join(errs...)
	}
	return cmd
}
