// Package firewall finds out whether a host's own packet filter refuses new
// connections unless a rule allows them. Published ports go past such a filter,
// which people who rely on it should be told. It also finds the rules that Docker
// makes there, and removes those that a dockerd without iptables has left.
package firewall

import (
	"fmt"
	"os/exec"
	"strings"
)

// Denies tells whether the filter of the calling thread's network namespace
// drops or rejects by default what comes in, and what does so, for people.
// Reading nftables takes CAP_NET_ADMIN.
func Denies() (bool, string, error) {
	rules, err := readRuleset()
	if err != nil {
		return false, "", fmt.Errorf("read nftables ruleset: %w", err)
	}
	if by := rules.denying(); by != "" {
		return true, by, nil
	}
	by, err := legacyDenying()
	if err != nil {
		return false, "", fmt.Errorf("read iptables rules: %w", err)
	}
	return by != "", by, nil
}

// legacyDenying names the chain of iptables' older kernel interface, which
// nftables does not show, that drops by default.
func legacyDenying() (string, error) {
	for _, family := range []struct{ names, program string }{
		{legacyNames, "iptables"},
		{legacyNames6, "ip6tables"},
	} {
		there, err := hasLegacyTable(family.names, "filter")
		if err != nil {
			return "", err
		}
		if !there {
			continue
		}
		rules, err := listLegacy(family.program)
		if err != nil {
			return "", err
		}
		if chain := droppedByPolicy(rules); chain != "" {
			return fmt.Sprintf("%s chain %s", family.program, chain), nil
		}
	}
	return "", nil
}

// listLegacy prints the filter table with whichever program of the family is
// installed for the older interface.
func listLegacy(program string) (string, error) {
	path, err := exec.LookPath(program + "-legacy")
	if err != nil {
		if path, err = exec.LookPath(program); err != nil {
			return "", err
		}
	}
	out, err := exec.Command(path, "-S").Output()
	if err != nil {
		return "", fmt.Errorf("run %s -S: %w", path, err)
	}
	return string(out), nil
}

// droppedByPolicy reads what `iptables -S` prints.
func droppedByPolicy(rules string) string {
	docker := strings.Contains(rules, "-N "+dockerChain+"\n")
	for line := range strings.Lines(rules) {
		switch chain, found := strings.CutPrefix(strings.TrimSpace(line), "-P "); {
		case !found:
		case chain == "INPUT DROP":
			return "INPUT"
		case chain == "FORWARD DROP" && !docker:
			return "FORWARD"
		}
	}
	return ""
}
