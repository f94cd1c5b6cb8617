package firewall

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// dockerChain marks a table that Docker keeps. Docker makes its FORWARD drop by
// default and opens it for each port that it publishes, so that says nothing of
// what the host's administrator wants.
const dockerChain = "DOCKER"

// maxDepth bounds how far jumps are followed; the kernel's own bound is 16.
const maxDepth = 16

// chainKey names a chain within a namespace.
type chainKey struct {
	family       uint8
	table, chain string
}

func (k chainKey) String() string {
	families := map[uint8]string{
		unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_NETDEV: "netdev",
	}
	return fmt.Sprintf("%s %s %s", families[k.family], k.table, k.chain)
}

type chain struct {
	key   chainKey
	based bool // on a hook; others are only jumped to
	hook  uint32
	drops bool // by policy
}

// rule is what one rule does with every packet; rules that look at the packet
// first are verdictNone.
type rule struct {
	verdict verdict
	target  string // of a jump or goto
}

type verdict uint8

const (
	verdictNone verdict = iota // go on to the next rule
	verdictAccept
	verdictDeny
	verdictReturn
	verdictJump
	verdictGoto
)

type ruleset struct {
	chains []chain
	rules  map[chainKey][]rule
}

// denying names a chain that refuses by default what comes in; empty if none does.
func (r ruleset) denying() string {
	for _, c := range r.chains {
		if !c.incoming() || c.hook == unix.NF_INET_FORWARD && r.docker(c.key) {
			continue
		}
		end := r.end(c.key, 0)
		if end == verdictDeny || end == verdictNone && c.drops {
			return fmt.Sprintf("nftables chain %q", c.key)
		}
	}
	return ""
}

// incoming tells whether packets from outside pass the chain on their way to
// the host or through it.
func (c chain) incoming() bool {
	if !c.based {
		return false
	}
	if c.key.family == unix.NFPROTO_NETDEV {
		return c.hook == unix.NF_NETDEV_INGRESS
	}
	families := []uint8{unix.NFPROTO_INET, unix.NFPROTO_IPV4, unix.NFPROTO_IPV6}
	hooks := []uint32{unix.NF_INET_PRE_ROUTING, unix.NF_INET_LOCAL_IN, unix.NF_INET_FORWARD}
	return slices.Contains(families, c.key.family) && slices.Contains(hooks, c.hook)
}

func (r ruleset) docker(key chainKey) bool {
	key.chain = dockerChain
	return slices.ContainsFunc(r.chains, func(c chain) bool { return c.key == key })
}

// end is what a packet meets in the chain that no rule with a condition is
// about: verdictAccept, verdictDeny, or verdictNone if it comes out at the end.
func (r ruleset) end(key chainKey, depth int) verdict {
	if depth > maxDepth {
		return verdictNone
	}
	for _, rule := range r.rules[key] {
		switch rule.verdict {
		case verdictAccept, verdictDeny:
			return rule.verdict
		case verdictReturn:
			return verdictNone
		case verdictJump, verdictGoto:
			target := key
			target.chain = rule.target
			if end := r.end(target, depth+1); end != verdictNone || rule.verdict == verdictGoto {
				return end
			}
		}
	}
	return verdictNone
}
