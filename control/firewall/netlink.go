package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tries bounds how often a dump is read anew because the ruleset changed under it.
const tries = 5

// Netfilter's verdicts, which x/sys does not have.
const (
	netfilterDrop   = 0
	netfilterAccept = 1
)

// typeMask takes the flags off an attribute's type.
const typeMask = ^uint16(unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)

// readRuleset reads the chains and rules of the calling thread's namespace.
func readRuleset() (ruleset, error) {
	set := ruleset{rules: map[chainKey][]rule{}}
	chains, err := dump(unix.NFT_MSG_GETCHAIN)
	if err != nil {
		return set, err
	}
	for _, message := range chains {
		c, err := parseChain(message)
		if err != nil {
			return set, fmt.Errorf("parse chain: %w", err)
		}
		set.chains = append(set.chains, c)
	}
	if !slices.ContainsFunc(set.chains, chain.incoming) {
		return set, nil // rulesets can be large: leave the rules alone
	}
	rules, err := dump(unix.NFT_MSG_GETRULE)
	if err != nil {
		return set, err
	}
	for _, message := range rules {
		key, r, err := parseRule(message)
		if err != nil {
			return set, fmt.Errorf("parse rule: %w", err)
		}
		set.rules[key] = append(set.rules[key], r)
	}
	return set, nil
}

// dump asks nftables for all objects of a kind. A kernel without nftables has none.
func dump(kind int) ([][]byte, error) {
	for try := 1; ; try++ {
		request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|kind, unix.NLM_F_DUMP)
		request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_UNSPEC, Version: nl.NFNETLINK_V0})
		messages, err := request.Execute(unix.NETLINK_NETFILTER, 0)
		switch {
		case err == nil:
			return messages, nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
			return nil, nil
		case try < tries && (errors.Is(err, netlink.ErrDumpInterrupted) || errors.Is(err, unix.EINTR)):
			continue
		}
		return nil, err
	}
}

// attributes are netlink attributes by their type, flags taken off.
type attributes map[uint16][]byte

func parseAttributes(data []byte) (attributes, error) {
	list, err := nl.ParseRouteAttr(data)
	if err != nil {
		return nil, err
	}
	found := attributes{}
	for _, a := range list {
		found[a.Attr.Type&typeMask] = a.Value
	}
	return found, nil
}

func (a attributes) text(kind uint16) string {
	if value := a[kind]; len(value) > 0 {
		return nl.BytesToString(value)
	}
	return ""
}

// number is 0 for an attribute that is missing.
func (a attributes) number(kind uint16) uint32 {
	if value := a[kind]; len(value) == 4 {
		return binary.BigEndian.Uint32(value)
	}
	return 0
}

// body splits a message into its family and attributes.
func body(message []byte) (uint8, attributes, error) {
	if len(message) < nl.SizeofNfgenmsg {
		return 0, nil, fmt.Errorf("message of %d bytes is too short", len(message))
	}
	found, err := parseAttributes(message[nl.SizeofNfgenmsg:])
	return message[0], found, err
}

func parseChain(message []byte) (chain, error) {
	family, found, err := body(message)
	if err != nil {
		return chain{}, err
	}
	c := chain{key: chainKey{family, found.text(unix.NFTA_CHAIN_TABLE), found.text(unix.NFTA_CHAIN_NAME)}}
	hook, based := found[unix.NFTA_CHAIN_HOOK]
	if !based {
		return c, nil
	}
	where, err := parseAttributes(hook)
	if err != nil {
		return chain{}, err
	}
	c.based = true
	c.hook = where.number(unix.NFTA_HOOK_HOOKNUM)
	_, hasPolicy := found[unix.NFTA_CHAIN_POLICY]
	c.drops = hasPolicy && found.number(unix.NFTA_CHAIN_POLICY) == netfilterDrop
	return c, nil
}

func parseRule(message []byte) (chainKey, rule, error) {
	family, found, err := body(message)
	if err != nil {
		return chainKey{}, rule{}, err
	}
	key := chainKey{family, found.text(unix.NFTA_RULE_TABLE), found.text(unix.NFTA_RULE_CHAIN)}
	list, err := nl.ParseRouteAttr(found[unix.NFTA_RULE_EXPRESSIONS])
	if err != nil {
		return key, rule{}, err
	}
	for _, element := range list {
		expression, err := parseAttributes(element.Value)
		if err != nil {
			return key, rule{}, err
		}
		data, err := parseAttributes(expression[unix.NFTA_EXPR_DATA])
		if err != nil {
			return key, rule{}, err
		}
		switch expression.text(unix.NFTA_EXPR_NAME) {
		case "counter", "log", "notrack":
			continue
		case "match": // an extension of iptables
			if data.text(unix.NFTA_MATCH_NAME) == "comment" {
				continue
			}
		case "reject":
			return key, rule{verdict: verdictDeny}, nil
		case "target":
			return key, parseTarget(data), nil
		case "immediate":
			r, err := parseImmediate(data)
			return key, r, err
		}
		return key, rule{}, nil // it looks at the packet
	}
	return key, rule{}, nil
}

// parseTarget reads an extension of iptables that nftables has no word for.
func parseTarget(data attributes) rule {
	if data.text(unix.NFTA_TARGET_NAME) == "REJECT" {
		return rule{verdict: verdictDeny}
	}
	return rule{}
}

func parseImmediate(data attributes) (rule, error) {
	value, err := parseAttributes(data[unix.NFTA_IMMEDIATE_DATA])
	if err != nil {
		return rule{}, err
	}
	raw, isVerdict := value[unix.NFTA_DATA_VERDICT]
	if !isVerdict {
		return rule{}, nil // loads a register for an expression behind it
	}
	decision, err := parseAttributes(raw)
	if err != nil {
		return rule{}, err
	}
	target := decision.text(unix.NFTA_VERDICT_CHAIN)
	switch int32(decision.number(unix.NFTA_VERDICT_CODE)) {
	case netfilterDrop:
		return rule{verdict: verdictDeny}, nil
	case netfilterAccept:
		return rule{verdict: verdictAccept}, nil
	case unix.NFT_RETURN:
		return rule{verdict: verdictReturn}, nil
	case unix.NFT_JUMP:
		return rule{verdict: verdictJump, target: target}, nil
	case unix.NFT_GOTO:
		return rule{verdict: verdictGoto, target: target}, nil
	}
	return rule{}, nil
}
