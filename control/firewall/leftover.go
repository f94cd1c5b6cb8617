package firewall

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// dockerUser is the chain that Docker makes for its users. It stays, with what is theirs.
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

// gone tells whether the chain is to be removed.
func gone(chain string) bool { return isDockers(chain) && chain != dockerUser }

// bridges are those of Docker's networks.
type bridges []string

// has also knows the bridges of networks that are gone, whose rules may be there still,
// unless they had names that somebody chose.
func (b bridges) has(device string) bool {
	id, named := strings.CutPrefix(device, "br-")
	byID := named && len(id) == 12 && strings.Trim(id, "0123456789abcdef") == ""
	return device == "docker0" || byID || slices.Contains(b, device)
}

// leftover finds what Docker has left in a table: its chains, and in those of the
// kernel's chains in which it makes rules the ones that lead to its chains or are about
// its bridges. It makes none in INPUT.
func (t savedTable) leftover(b bridges) Leftover {
	left := Leftover{Table: t.name}
	var deleted []string
	held := map[string]bool{}
	for _, r := range t.rules {
		switch target := r.value("-j", "-g"); {
		case gone(r.chain):
			left.Rules = append(left.Rules, r.text)
		case r.dockers(b):
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

// dockers tells whether a rule in a chain that stays is Docker's.
func (r savedRule) dockers(b bridges) bool {
	switch r.chain {
	case dockerUser: // rules that users make have conditions, or go elsewhere
		return slices.Equal(r.words, []string{"-j", "RETURN"})
	case "FORWARD", "OUTPUT", "POSTROUTING", "PREROUTING":
		return isDockers(r.value("-j", "-g")) || b.has(r.value("-i")) || b.has(r.value("-o")) || r.hairpin()
	}
	return false
}

// hairpin tells whether a rule is for a container that reaches itself by a port that is
// published. Docker makes such rules without a word of the bridge.
func (r savedRule) hairpin() bool {
	from, err := netip.ParsePrefix(r.value("-s"))
	return err == nil && from.IsSingleIP() && r.value("-s") == r.value("-d") &&
		r.chain == "POSTROUTING" && r.value("-j") == "MASQUERADE"
}

// input is what iptables-restore reads to remove what was left. It says nothing of what
// stays, which is not written anew then.
func (l Leftover) input() string {
	return fmt.Sprintf("*%s\n%s\nCOMMIT\n", l.Table, strings.Join(l.restore, "\n"))
}
