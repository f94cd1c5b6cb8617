package main

import (
	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

func newPublishCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish SPEC",
		Short: "Publish a port of a running sandbox on the host",
		Long: "Publish a port or range of a running sandbox on the host.\n\n" +
			"SPEC is [HOSTIP:]HOSTPORT[-END]:PORT[-END][/tcp|udp|sctp]. HOSTPORT 0 or empty leaves\n" +
			"the choice to ebnet. Without HOSTIP it is published on all addresses of the host, of those families that\n" +
			"the sandbox has. HOSTIP is of one of them; IPv6 stands in brackets. What is published is printed.",
		Example: "  ebnet publish 8080:80 --to web\n" +
			"  ebnet publish 127.0.0.1:5353:53/udp --to db\n" +
			"  ebnet publish [::1]:8080:80 --to web\n" +
			"  ebnet publish 8000-8010:9000-9010 --to web\n" +
			"  ebnet publish 8443:443 --to web --network blue --allow 192.0.2.0/24",
		Args: args(1, 1, "SPEC"),
	}
	to := cmd.Flags().String("to", "", "the `sandbox` (default: the only one there is)")
	_ = cmd.RegisterFlagCompletionFunc("to", a.completeSandboxes)
	network := cmd.Flags().String("network", "", "the sandbox's address in this `network` (default: that of its default route)")
	_ = cmd.RegisterFlagCompletionFunc("network", a.completeNetworks)
	alsoNet(cmd.Flags())
	allow := cmd.Flags().StringArray("allow", nil, "let only `CIDR` connect; may be repeated, or several with commas (default: anyone)")
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		spec, err := api.ParsePublish(args[0])
		if err != nil {
			return err
		}
		create := api.PublishCreate{Spec: spec, Sandbox: *to, Network: *network}
		if cmd.Flags().Changed("to") {
			if err := api.ValidRef(*to); err != nil {
				return err
			}
		}
		if cmd.Flags().Changed("network") {
			if err := api.ValidRef(*network); err != nil {
				return err
			}
		}
		if create.Allow, err = parseList(cmd, "allow", *allow, parseSource); err != nil {
			return err
		}
		published, err := a.client().Publish(cmd.Context(), create)
		if err != nil {
			return err
		}
		return printPublishes(cmd.OutOrStdout(), *output, published, true)
	}
	return cmd
}

func newUnpublishCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "unpublish SPEC",
		Short:   "End what is published at a port of the host",
		Long:    "End what is published at [HOSTIP:]HOSTPORT[-END][/PROTO] of the host. Its connections end, too.",
		Example: "  ebnet unpublish 8080\n  ebnet unpublish 127.0.0.1:5353/udp\n  ebnet unpublish 8000-8010",
		Args:    args(1, 1, "SPEC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := api.ParseHostSpec(args[0])
			if err != nil {
				return err
			}
			_, err = a.client().Unpublish(cmd.Context(), host)
			return err
		},
	}
}
