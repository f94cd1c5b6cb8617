package firewall

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// dockerShapes are the rules that Docker, 20.10 to 28, makes in the kernel's chains, by
// table and chain, as iptables-save prints them. BRIDGE,
// SUBNET, HOST, ADDRESS, PROTOCOL and PORT stand for one word each, the same wherever it
// is said twice.
var dockerShapes = map[string][]string{
	"filter FORWARD": {
		"-j DOCKER-USER", "-j DOCKER-FORWARD", "-j DOCKER-ISOLATION", "-j DOCKER-ISOLATION-STAGE-1",
		"-j DOCKER-INGRESS", "-j DOCKER-CT", "-j DOCKER-BRIDGE",
		"-o BRIDGE -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		"-o BRIDGE -j DOCKER",
		"-i BRIDGE ! -o BRIDGE -j ACCEPT",
		"-i BRIDGE -o BRIDGE -j ACCEPT",
		"-i BRIDGE -o BRIDGE -j DROP",
	},
	"nat PREROUTING": {
		"-m addrtype --dst-type LOCAL -j DOCKER",
		"-m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
	},
	"nat OUTPUT": {
		"-m addrtype --dst-type LOCAL -j DOCKER",
		"-m addrtype --dst-type LOCAL -j DOCKER-INGRESS",
		"! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
		"! -d ::1/128 -m addrtype --dst-type LOCAL -j DOCKER",
	},
	"nat POSTROUTING": {
		"-s SUBNET ! -o BRIDGE -j MASQUERADE",
		"-s SUBNET ! -o BRIDGE -j SNAT --to-source ADDRESS",
		"-o BRIDGE -m addrtype --src-type LOCAL -j MASQUERADE",
		"-s HOST -d HOST -p PROTOCOL -m PROTOCOL --dport PORT -j MASQUERADE", // it asks itself
	},
	"raw PREROUTING": {
		"-d HOST ! -i BRIDGE -j DROP",
		"-d 127.0.0.1/32 ! -i lo -p PROTOCOL -m PROTOCOL --dport PORT -j DROP",
	},
}

// dockers tells whether a rule in one of the kernel's chains is as Docker makes it.
func (t savedTable) dockers(r savedRule, b bridges) bool {
	return slices.ContainsFunc(dockerShapes[t.name+" "+r.chain], func(shape string) bool {
		return r.hasShape(strings.Fields(shape), b)
	})
}

func (r savedRule) hasShape(shape []string, b bridges) bool {
	said := map[string]string{}
	return slices.EqualFunc(r.words, shape, func(word, want string) bool {
		if before, twice := said[want]; twice {
			return word == before
		}
		said[want] = word
		return b.standsFor(word, want)
	})
}

// standsFor tells whether a word of a rule is what a word of a shape stands for.
func (b bridges) standsFor(word, want string) bool {
	switch want {
	case "BRIDGE":
		return b.has(word)
	case "SUBNET", "HOST":
		prefix, err := netip.ParsePrefix(word)
		return err == nil && (want == "SUBNET" || prefix.IsSingleIP())
	case "ADDRESS":
		_, err := netip.ParseAddr(word)
		return err == nil
	case "PROTOCOL":
		return word == "tcp" || word == "udp" || word == "sctp"
	case "PORT":
		_, err := strconv.ParseUint(word, 10, 16)
		return err == nil
	}
	return word == want
}
