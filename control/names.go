package control

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ebnet/ebnet/control/store"
)

// A host side of an attachment is named by this prefix and so many hex digits.
const (
	hostPrefix = "eb"
	hostDigits = 11
)

// hostInterface names the host side of an attachment. It fits the kernel's 15
// bytes whatever the sandbox is called.
func hostInterface(id, network string) string {
	h := sha256.Sum256([]byte(id + "/" + network))
	return hostPrefix + hex.EncodeToString(h[:])[:hostDigits]
}

// isHostInterface says whether a link has a name such as hostInterface makes.
func isHostInterface(name string) bool {
	digits := name[min(len(name), len(hostPrefix)):]
	return len(name) == len(hostPrefix)+hostDigits && name[:len(hostPrefix)] == hostPrefix &&
		!slices.ContainsFunc([]byte(digits), func(c byte) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}

// bridgeName names the bridge of a network that wants none of a certain name.
func bridgeName(id string) string { return "eb-" + id[:12] }

// isBridgeName says whether a link has a name such as bridgeName makes.
func isBridgeName(name string) bool {
	return regexp.MustCompile(`^eb-[0-9a-f]{12}$`).MatchString(name)
}

// stableMAC makes a MAC address of a seed: always the same one, and unlike that
// of any container, which begins with 02:42.
func stableMAC(seed string) string {
	h := sha256.Sum256([]byte(seed))
	return net.HardwareAddr{0x02, 0xeb, h[0], h[1], h[2], h[3]}.String()
}

// interfacePrefix and a number from 0 on make the name of an interface inside.
const interfacePrefix = "eth"

// nextInterface names the interface behind a sandbox's last one. Numbers of
// interfaces that have gone before it are not used again, so that a lower one
// was always there first.
func nextInterface(ats []store.Attachment) string {
	next := 0
	for _, at := range ats {
		if at.HostInterface != "" {
			next = max(next, interfaceNumber(at)+1)
		}
	}
	return interfacePrefix + strconv.Itoa(next)
}

func interfaceNumber(at store.Attachment) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(at.Interface, interfacePrefix)) // nextInterface made it
	return n
}

// netnsName is the name of a sandbox's namespace. It is kept from the sandbox's
// creation, whatever prefix the agent is given later.
func netnsName(sb store.Sandbox) string { return filepath.Base(sb.Netns) }

// onHost says whether a sandbox is in the agent's own namespace, which nobody
// may delete or clear of processes.
func onHost(sb store.Sandbox) bool {
	return slices.ContainsFunc(sb.Attachments, func(at store.Attachment) bool { return at.Network == networkHost })
}

// findAttachment is a sandbox's place on a network.
func findAttachment(sb store.Sandbox, network string) (store.Attachment, bool) {
	i := slices.IndexFunc(sb.Attachments, func(at store.Attachment) bool { return at.Network == network })
	if i < 0 {
		return store.Attachment{}, false
	}
	return sb.Attachments[i], true
}

// bridged are the attachments that have an interface, of which an engine's container
// does not say the name.
func bridged(sb store.Sandbox) []store.Attachment {
	var out []store.Attachment
	for _, at := range sb.Attachments {
		if len(at.Addresses) > 0 {
			out = append(out, at)
		}
	}
	return out
}

func addresses(sb store.Sandbox) []netip.Prefix {
	var out []netip.Prefix
	for _, at := range sb.Attachments {
		out = append(out, at.Addresses...)
	}
	return out
}

func gateways(n store.Network) []netip.Addr {
	var out []netip.Addr
	for _, s := range n.Subnets {
		out = append(out, s.Gateway)
	}
	return out
}

// gatewayPrefix is a subnet's gateway as an address on a bridge.
func gatewayPrefix(s store.Subnet) netip.Prefix { return netip.PrefixFrom(s.Gateway, s.Prefix.Bits()) }

func subnets(n store.Network) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range n.Subnets {
		out = append(out, s.Prefix)
	}
	return out
}
