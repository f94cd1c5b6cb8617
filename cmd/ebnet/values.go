package main

import (
	"errors"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
)

// parseList parses the values of a flag that may be repeated, each of which may
// be several with commas between them.
func parseList[T any](cmd *cobra.Command, flag string, values []string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for _, value := range values {
		for text := range strings.SplitSeq(value, ",") {
			parsed, err := parse(text)
			if err != nil {
				return nil, usagef(cmd, "bad --%s %q: %w", flag, text, err)
			}
			all = append(all, parsed)
		}
	}
	return all, nil
}

func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, errors.New("not an IP address")
	}
	return addr.Unmap(), nil
}

// parseSource reads a CIDR, or one address as a CIDR of its own.
func parseSource(text string) (netip.Prefix, error) {
	if addr, err := parseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, errors.New("not a CIDR such as 192.0.2.0/24")
	}
	return prefix.Masked(), nil
}

// keyValues makes a map of the KEY=VALUE of a flag that may be repeated. As with
// docker the last one of a key wins; a label may do without its value.
func keyValues(cmd *cobra.Command, flag string, values []string, needValue bool) (map[string]string, error) {
	var all map[string]string
	for _, text := range values {
		key, value, found := strings.Cut(text, "=")
		if key == "" || needValue && !found {
			return nil, usagef(cmd, "bad --%s %q: write KEY=VALUE", flag, text)
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
	}
	return all, nil
}
