package firewall

import (
	"fmt"
	"slices"
	"strings"
)

// dockerUser is the chain that Docker makes for its users. It stays in use where they
// have something in it.
const dockerUser = "DOCKER-USER"

// isDockers tells whether Docker makes a chain of this name, in whichever version.
// Others may make chains whose names begin in the same way.
func isDockers(chain string) bool {
	switch chain {
	case dockerChain, dockerUser, "DOCKER-ISOLATION", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2",
		"DOCKER-INGRESS", "DOCKER-FORWARD", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-INTERNAL":
		return true
	}
	return false
}

// used tells whether users have rules in the chain that Docker makes for them, or lead
// to it. Docker's own there are a RETURN, and its jump from FORWARD.
func (t savedTable) used(b bridges) bool {
	return slices.ContainsFunc(t.rules, func(r savedRule) bool {
		if r.chain == dockerUser {
			return !slices.Equal(r.words, []string{"-j", "RETURN"})
		}
		return r.value("-j", "-g") == dockerUser && !isDockers(r.chain) && !t.dockers(r, b)
	})
}

// bridges are those of Docker's networks.
type bridges []string

// has also knows the bridges of networks that are gone, whose rules may be there still,
// unless they had names that somebody chose.
func (b bridges) has(device string) bool {
	id, named := strings.CutPrefix(device, "br-")
	byID := named && len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
	return device == "docker0" || byID || slices.Contains(b, device)
}

// leftover finds what Docker has left in a table: its chains, and the rules in the
// kernel's chains that are as it makes them. All others are somebody's own, whatever
// they are about.
func (t savedTable) leftover(b bridges) Leftover {
	left := Leftover{Table: t.name}
	keep := t.used(b)
	gone := func(chain string) bool { return isDockers(chain) && !(chain == dockerUser && keep) }
	var deleted []string
	held := map[string]bool{}
	for _, r := range t.rules {
		switch target := r.value("-j", "-g"); {
		case gone(r.chain):
			left.Rules = append(left.Rules, r.text)
		case t.dockers(r, b) && (target != dockerUser || !keep):
			left.Rules = append(left.Rules, r.text)
			deleted = append(deleted, "-D"+strings.TrimPrefix(r.text, "-A"))
		case gone(target):
			held[target] = true
			left.Held = append(left.Held, r.text)
		}
	}
	var emptied, removed []string
	for _, c := range t.chains {
		if !gone(c.name) {
			continue
		}
		emptied = append(emptied, "-F "+c.name)
		if !held[c.name] {
			left.Rules = append(left.Rules, c.text)
			removed = append(removed, "-X "+c.name)
		}
	}
	// A chain can be removed when nothing leads to it any more.
	left.restore = slices.Concat(deleted, emptied, removed)
	return left
}

// input is what iptables-restore reads to remove what was left. It says nothing of what
// stays, which is not written anew then.
func (l Leftover) input() string {
	return fmt.Sprintf("*%s\n%s\nCOMMIT\n", l.Table, strings.Join(l.restore, "\n"))
}
