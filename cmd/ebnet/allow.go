package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

func newAllowCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "allow SPEC --add CIDR... | --remove CIDR... | --set CIDR... | --any",
		Short: "Change who may connect to a published port",
		Long: "Change who may connect to what is published at [HOSTIP:]HOSTPORT[-END][/PROTO] of the host.\n\n" +
			"Flags may be repeated; a CIDR may be one address, or several with commas or spaces between them. Processes on the host\n" +
			"itself may always connect. What is published is printed as it is then.",
		Example: "  ebnet allow 8080 --set 192.0.2.0/24,198.51.100.7\n" +
			"  ebnet allow 127.0.0.1:5353/udp --add 203.0.113.0/24\n" +
			"  ebnet allow 8000-8010 --any",
		Args: args(1, -1, "SPEC"),

		ValidArgsFunction: cobra.NoFileCompletions,
	}
	lists := map[string]*[]string{
		"add":    cmd.Flags().StringArray("add", nil, "let `CIDR` connect, too"),
		"remove": cmd.Flags().StringArray("remove", nil, "let `CIDR` connect no longer"),
		"set":    cmd.Flags().StringArray("set", nil, "let only `CIDR` connect"),
	}
	anyone := cmd.Flags().Bool("any", false, "let anyone connect")
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		change, err := allowChange(cmd, args, lists, *anyone)
		if err != nil {
			return err
		}
		published, err := a.client().ChangeAllow(cmd.Context(), change)
		if err != nil {
			return err
		}
		return printPublishes(cmd.OutOrStdout(), *output, published, true)
	}
	return cmd
}

// allowChange checks the flags and makes them a request. What stands behind the
// first argument are more values of the one list that is given.
func allowChange(cmd *cobra.Command, args []string, lists map[string]*[]string, anyone bool) (api.AllowChange, error) {
	var change api.AllowChange
	var given []string
	for _, flag := range []string{"add", "remove", "set"} {
		if cmd.Flags().Changed(flag) {
			given = append(given, flag)
		}
	}
	if anyone {
		given = append(given, "any")
	}
	if len(given) != 1 {
		return change, usagef(cmd, "who may connect? give one of --add, --remove, --set and --any")
	}
	if anyone && len(args) > 1 {
		return change, usagef(cmd, "unexpected argument %q behind SPEC", args[1])
	}
	var err error
	if change.Spec, err = api.ParseHostSpec(args[0]); err != nil {
		return change, err
	}
	change.Any = anyone
	for flag, sources := range map[string]*[]netip.Prefix{"add": &change.Add, "remove": &change.Remove, "set": &change.Set} {
		if flag != given[0] {
			continue
		}
		if *sources, err = parseList(cmd, flag, append(*lists[flag], args[1:]...), parseSource); err != nil {
			return change, err
		}
	}
	return change, nil
}

// describeAllow is a source list as a table shows it: cut short, since there
// may be thousands.
func describeAllow(sources []netip.Prefix) string {
	const most = 4
	if len(sources) == 0 {
		return "any"
	}
	text := list(sources[:min(len(sources), most)])
	if more := len(sources) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
