package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ebnet/ebnet/control/api"
)

// networkFlags are what `network create` says of a new network, where that is
// not one of api.NetworkCreate's fields as it stands.
type networkFlags struct {
	create   api.NetworkCreate
	ipv4     bool
	subnets  []string
	gateways []string
	ranges   []string
	hostIP   string
	options  []string
	labels   []string
}

func newNetworkCreateCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a network",
		Long: "Create a network. Without --subnet ebnet chooses a free one. With --ipv6 it has IPv6, too: a random private /64\n" +
			"(RFC 4193), unless --subnet names one.\n\n" +
			"A bridge that exists is used as it is, with its own subnet unless --subnet names another, and never deleted.\n" +
			"The gateway's address is added to it where it is missing, and goes with the network. Its MTU is left alone, and\n" +
			"the sandboxes' links have the same or that of --mtu; but the kernel lets a bridge whose MTU nobody has set follow\n" +
			"the smallest of its ports.\n\n" +
			"--opt takes Docker's names for the same settings:\n" +
			api.OptionBridge + " is --bridge, " + api.OptionICC + "=false is --no-icc,\n" +
			api.OptionMasquerade + "=false is --no-masquerade,\n" +
			api.OptionHostIP + " is --host-ip, " + api.OptionMTU + " is --mtu.",
		Example: "  ebnet network create blue\n" +
			"  ebnet network create db --subnet 10.7.0.0/24 --ip-range 10.7.0.128/25 --internal --label app=shop\n" +
			"  ebnet network create both --ipv6 --subnet 10.8.0.0/24 --subnet fd00:8::/64",
		Args: args(1, 1, "NAME"),

		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := addNetworkFlags(cmd.Flags())
	_ = cmd.RegisterFlagCompletionFunc("driver", cobra.FixedCompletions([]string{api.DriverBridge, api.DriverNone}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		create, err := f.request(cmd, args[0])
		if err != nil {
			return err
		}
		network, err := a.client().CreateNetwork(cmd.Context(), create)
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), network.Name)
		return nil
	}
	return cmd
}

func addNetworkFlags(flags *pflag.FlagSet) *networkFlags {
	f := &networkFlags{}
	flags.StringVarP(&f.create.Driver, "driver", "d", api.DriverBridge, "bridge, or none for sandboxes with lo alone")
	flags.StringArrayVar(&f.subnets, "subnet", nil, "`CIDR` of its addresses, one of each family at most (default: a free one)")
	flags.StringArrayVar(&f.gateways, "gateway", nil, "`IP` of the bridge (default: the first of the subnet)")
	flags.StringArrayVar(&f.ranges, "ip-range", nil, "choose addresses from this `CIDR` (default: the subnet)")
	flags.BoolVar(&f.create.IPv6, "ipv6", false, "with an IPv6 subnet, too; a --subnet of IPv6 says the same")
	flags.BoolVar(&f.ipv4, "ipv4", true, "with an IPv4 subnet; --ipv4=false makes it a network of IPv6 alone")
	flags.StringVar(&f.create.Bridge, "bridge", "", "`name` of the bridge (default: one of ebnet's choosing)")
	flags.IntVar(&f.create.MTU, "mtu", 0, "largest packet in `bytes` (default: that of the uplink with the default route)")
	flags.BoolVar(&f.create.Internal, "internal", false, "nothing leaves it, nothing is published into it")
	flags.BoolVar(&f.create.NoICC, "no-icc", false, "its sandboxes may not talk to each other")
	flags.BoolVar(&f.create.NoMasquerade, "no-masquerade", false, "what leaves it keeps its own address")
	flags.StringVar(&f.hostIP, "host-ip", "", "`address` of ports published without one (default: the agent's)")
	flags.StringArrayVar(&f.options, "opt", nil, "`KEY=VALUE` by Docker's names")
	flags.StringArrayVar(&f.labels, "label", nil, "`KEY=VALUE`")
	flags.VarP(useOpt{}, "output", "o", "")
	_ = flags.MarkHidden("output")
	return f
}

// request checks the flags and makes them a request. The options go along as
// they were given: the agent resolves them.
func (f *networkFlags) request(cmd *cobra.Command, name string) (api.NetworkCreate, error) {
	create := f.create
	create.Name, create.NoIPv4 = name, !f.ipv4
	var err error
	if create.Subnets, err = parseList(cmd, "subnet", f.subnets, parseSubnet); err != nil {
		return create, err
	}
	if create.Gateways, err = parseList(cmd, "gateway", f.gateways, parseAddr); err != nil {
		return create, err
	}
	if create.IPRanges, err = parseList(cmd, "ip-range", f.ranges, parseSubnet); err != nil {
		return create, err
	}
	changed := cmd.Flags().Changed
	for _, subnet := range create.Subnets {
		if changed("ipv6") && !create.IPv6 && subnet.Addr().Is6() {
			return create, usagef(cmd, "--ipv6=false and --subnet %s: leave one of them out", subnet)
		}
	}
	if changed("host-ip") {
		if create.HostIP, err = parseAddr(f.hostIP); err != nil {
			return create, usagef(cmd, "bad --host-ip %q: %w", f.hostIP, err)
		}
	}
	if changed("bridge") && create.Bridge == "" {
		return create, usagef(cmd, "bad --bridge \"\": it is empty")
	}
	if changed("mtu") && create.MTU == 0 {
		return create, usagef(cmd, "bad --mtu 0: use %d to %d bytes", api.MinMTU, api.MaxMTU)
	}
	if create.Options, err = keyValues(cmd, "opt", f.options, true); err != nil {
		return create, err
	}
	if create.Labels, err = keyValues(cmd, "label", f.labels, false); err != nil {
		return create, err
	}
	_, err = create.Resolve()
	return create, err
}

// useOpt is the value of -o where Docker has it for options, and all of ebnet
// for the form of the output.
type useOpt struct{}

func (useOpt) String() string { return "" }
func (useOpt) Type() string   { return "string" }

func (useOpt) Set(text string) error {
	return fmt.Errorf("use --opt %s", text)
}

func parseSubnet(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, errors.New("not a CIDR such as 10.7.0.0/24")
	}
	return prefix, nil
}
