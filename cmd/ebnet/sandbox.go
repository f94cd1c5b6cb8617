package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ebnet/ebnet/control/api"
)

func newSandboxCommand(a *app) *cobra.Command {
	return newGroup("sandbox", "Network namespaces attached to networks",
		newSandboxCreateCommand(a),
		newSandboxListCommand(a),
		newSandboxInspectCommand(a),
		newSandboxRemoveCommand(a),
	)
}

// sandboxFlags are what `sandbox create` and `run` say of a new sandbox.
type sandboxFlags struct {
	networks []string
	publish  []string
	dns      []string
	labels   []string
}

func addSandboxFlags(a *app, cmd *cobra.Command) *sandboxFlags {
	f := &sandboxFlags{}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.networks, "network", nil, "attach to `NAME[,ip=IP][,ip6=IP6][,mac=MAC]`, the first as eth0, the next as eth1; none or host for no network of its own (default: the default network)")
	flags.StringArrayVarP(&f.publish, "publish", "p", nil, "publish `[HOSTIP:]HOSTPORT[-END]:PORT[-END][/PROTO]`")
	flags.StringArrayVar(&f.dns, "dns", nil, "name server's `IP` (default: those of the host)")
	flags.StringArrayVarP(&f.labels, "label", "l", nil, "`KEY=VALUE`")
	alsoNet(flags)
	_ = cmd.RegisterFlagCompletionFunc("network", a.completeNetworks)
	return f
}

// alsoNet makes --net the same flag as --network.
func alsoNet(flags *pflag.FlagSet) {
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "net" {
			name = "network"
		}
		return pflag.NormalizedName(name)
	})
}

// request checks the flags and makes them a request.
func (f *sandboxFlags) request(cmd *cobra.Command, name string) (api.SandboxCreate, error) {
	create := api.SandboxCreate{Name: name}
	for _, text := range f.networks {
		attachment, err := api.ParseAttachment(text)
		if err != nil {
			return create, err
		}
		create.Networks = append(create.Networks, attachment)
	}
	for _, text := range f.publish {
		spec, err := api.ParsePublish(text)
		if err != nil {
			return create, err
		}
		create.Publish = append(create.Publish, spec)
	}
	for _, text := range f.dns {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return create, usagef(cmd, "bad --dns %q: not an IP address", text)
		}
		create.DNS = append(create.DNS, addr)
	}
	var err error
	create.Labels, err = keyValues(cmd, "label", f.labels, false)
	return create, err
}

func newSandboxCreateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a sandbox",
		Example: "  ebnet sandbox create db\n" +
			"  ebnet sandbox create web -p 8080:80 --dns 9.9.9.9 --label app=shop\n" +
			"  ebnet sandbox create app --network front --network back,ip=10.7.0.9",
		Args: args(1, 1, "NAME"),
	}
	flags := addSandboxFlags(a, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := api.ValidName(args[0]); err != nil {
			return err
		}
		create, err := flags.request(cmd, args[0])
		if err != nil {
			return err
		}
		sandbox, err := a.client().CreateSandbox(cmd.Context(), create)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), sandbox.Name)
		return nil
	}
	return cmd
}

func newSandboxListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "ls", Aliases: []string{"list"}, Short: "List sandboxes", Args: args(0, 0, "")}
	output := addOutput(cmd, formatTable)
	filter := addFilter(cmd, "id, label, name, network, owner")
	quiet := cmd.Flags().BoolP("quiet", "q", false, "print names only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := filter.check(cmd, sandboxSubject(api.Sandbox{})); err != nil {
			return err
		}
		all, err := a.client().Sandboxes(cmd.Context())
		if err != nil {
			return err
		}
		var shown []api.Sandbox
		for _, sandbox := range all {
			if filter.match(sandboxSubject(sandbox)) {
				shown = append(shown, sandbox)
			}
		}
		if *quiet {
			for _, sandbox := range shown {
				fmt.Fprintln(cmd.OutOrStdout(), sandbox.Name)
			}
			return nil
		}
		return output.print(cmd.OutOrStdout(), shown, []string{"NAME", "NETWORK", "ADDRESS", "PORTS", "OWNER"}, func(t *table) {
			for _, sandbox := range shown {
				t.row(sandboxRow(sandbox)...)
			}
		})
	}
	return cmd
}

func sandboxSubject(s api.Sandbox) subject {
	networks := make([]string, len(s.Endpoints))
	for i, endpoint := range s.Endpoints {
		networks[i] = endpoint.Network
	}
	return subject{labels: s.Labels, texts: map[string][]string{
		"name": {s.Name}, "id": {s.ID}, "owner": {s.Owner}, "network": networks,
	}}
}

func sandboxRow(s api.Sandbox) []string {
	var networks, addresses, published []string
	for _, endpoint := range s.Endpoints {
		networks = append(networks, endpoint.Network)
		for _, prefix := range endpoint.Addresses {
			addresses = append(addresses, prefix.Addr().String())
		}
	}
	for _, p := range s.Published {
		published = append(published, hostSide(p)+"->"+targetSide(p))
	}
	return []string{s.Name, strings.Join(networks, ","), strings.Join(addresses, ","), strings.Join(published, ", "), s.Owner}
}

func newSandboxInspectCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect NAME...", Short: "Show all of sandboxes", Args: args(1, -1, "NAME"), ValidArgsFunction: a.completeSandboxes}
	output := addOutput(cmd, formatJSON)
	cmd.RunE = func(cmd *cobra.Command, names []string) error {
		client := a.client()
		var found []api.Sandbox
		var errs []error
		for _, name := range names {
			sandbox, err := client.Sandbox(cmd.Context(), name)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			found = append(found, sandbox)
		}
		if len(found) > 0 {
			columns := []string{"SANDBOX", "NETWORK", "INTERFACE", "ADDRESS", "MAC", "GATEWAY", "HOST INTERFACE", "NETNS"}
			errs = append(errs, output.print(cmd.OutOrStdout(), found, columns, func(t *table) {
				for _, s := range found {
					for _, e := range s.Endpoints {
						t.row(s.Name, e.Network, e.Interface, list(e.Addresses), e.MAC, list(e.Gateways), e.HostInterface, s.Netns)
					}
				}
			}))
		}
		return errors.Join(errs...)
	}
	return cmd
}

func newSandboxRemoveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "rm NAME...",
		Aliases: []string{"remove"},
		Short:   "Remove sandboxes with all that they have",
		Args:    args(1, -1, "NAME"),

		ValidArgsFunction: a.completeSandboxes,
		RunE: func(cmd *cobra.Command, names []string) error {
			client := a.client()
			var errs []error
			for _, name := range names {
				if err := client.RemoveSandbox(cmd.Context(), name); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintln(cmd.OutOrStdout(), name)
			}
			return errors.Join(errs...)
		},
	}
}
