package firewall

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Leftover is what Docker has left in one table.
type Leftover struct {
	Family string   // IPv4 or IPv6
	Tool   string   // the iptables that the table is of, such as ip6tables-legacy
	Table  string   // filter, nat, ...
	Rules  []string // rules and chains, as iptables-save prints them
	Held   []string // rules of others that lead to chains of Docker's, which stay, empty

	restore []string // commands for iptables-restore
}

// DockerLeftovers finds the rules that dockerd made before its iptables was turned off,
// in the calling thread's network namespace. Docker's networks have these bridges.
func DockerLeftovers(names []string) ([]Leftover, error) {
	var all []Leftover
	tools, err := findTools()
	if err != nil {
		return nil, err
	}
	for _, tool := range tools {
		out, err := run("", tool.name+"-save")
		if err != nil {
			return nil, err
		}
		for _, table := range parseSave(out) {
			left := table.leftover(names)
			if len(left.Rules)+len(left.Held) == 0 {
				continue
			}
			left.Family, left.Tool = tool.family, tool.name
			all = append(all, left)
		}
	}
	return all, nil
}

// Remove removes what was left in the table, all of it or nothing.
func (l Leftover) Remove() error {
	if len(l.Rules) == 0 {
		return nil
	}
	// Others may be at the older interface, which one at a time can change.
	if _, err := run(l.input(), l.Tool+"-restore", "--noflush", "--wait=10"); err != nil {
		return fmt.Errorf("remove Docker's rules from table %s of %s: %w", l.Table, l.Family, err)
	}
	return nil
}

// tool is one iptables of one family; there is one for each of the kernel's interfaces.
type tool struct{ family, name string }

// findTools lists those that may have something to show. Where the kernel has no
// tables, iptables-save may not even work, and there is nothing to ask it.
func findTools() ([]tool, error) {
	nft, err := dump(unix.NFT_MSG_GETTABLE)
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	var tools []tool
	for _, family := range []struct{ name, program, legacyNames string }{
		{"IPv4", "iptables", legacyNames},
		{"IPv6", "ip6tables", legacyNames6},
	} {
		legacy, err := legacyTables(family.legacyNames)
		if err != nil {
			return nil, fmt.Errorf("list tables of %s: %w", family.program, err)
		}
		for _, name := range installed(family.program) {
			of := map[string]bool{"-nft": len(nft) > 0, "-legacy": len(legacy) > 0, "": len(nft)+len(legacy) > 0}
			if of[strings.TrimPrefix(name, family.program)] {
				tools = append(tools, tool{family.name, name})
			}
		}
	}
	return tools, nil
}

// installed lists the variants of a program. The one without a word for the interface
// is one of the others, where they are there.
func installed(program string) []string {
	var names []string
	for _, name := range []string{program + "-nft", program + "-legacy", program} {
		_, err := exec.LookPath(name + "-save")
		if err == nil && (name != program || len(names) == 0) {
			names = append(names, name)
		}
	}
	return names
}

// run runs a program and returns what it prints; its errors are in one line.
func run(stdin, program string, words ...string) (string, error) {
	cmd := exec.Command(program, words...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) && len(failed.Stderr) > 0 {
		return "", fmt.Errorf("run %s: %w: %s", program, err, strings.Join(strings.Fields(string(failed.Stderr)), " "))
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w", program, err)
	}
	return string(out), nil
}
