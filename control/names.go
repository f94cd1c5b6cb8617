package control

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"path/filepath"
	"slices"

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

// netnsName is the name of a sandbox's namespace. It is kept from the sandbox's
// creation, whatever prefix the agent is given later.
func netnsName(sb store.Sandbox) string { return filepath.Base(sb.Netns) }

// onHost says whether a sandbox is in the agent's own namespace, which nobody
// may delete or clear of processes.
func onHost(sb store.Sandbox) bool {
	return slices.ContainsFunc(sb.Attachments, func(at store.Attachment) bool { return at.Network == networkHost })
}

// bridged are the attachments that have an interface.
func bridged(sb store.Sandbox) []store.Attachment {
	var out []store.Attachment
	for _, at := range sb.Attachments {
		if at.HostInterface != "" {
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
