package control

import (
	"net/netip"

	"github.com/ebnet/ebnet/control/store"
)

// tableBase and the number of a sandbox's interface are the routing table for
// what comes from the interface's address.
const tableBase = 1000

// defaultAttachment is the one by which a sandbox's default route of a family leads:
// the first, in the order in which they came, that has an address of it and whose
// network leads out at all.
func (a *Agent) defaultAttachment(sb store.Sandbox, f family) (store.Attachment, bool) {
	for _, at := range bridged(sb) {
		if _, has := f.addrOf(at); has && !a.want.networks[at.Network].Internal {
			return at, true
		}
	}
	return store.Attachment{}, false
}

// isDefault says whether a sandbox's default route of a family leads by an attachment.
func (a *Agent) isDefault(sb store.Sandbox, at store.Attachment, f family) bool {
	way, ok := a.defaultAttachment(sb, f)
	return ok && way.HostInterface == at.HostInterface
}

// table is the routing table of an attachment. A sandbox on one network needs
// none: everything leaves by that.
func table(sb store.Sandbox, at store.Attachment) int {
	if len(bridged(sb)) < 2 {
		return 0
	}
	return tableBase + interfaceNumber(at)
}

// tables are the routing tables that a sandbox has for its attachments.
func tables(sb store.Sandbox) []int {
	var out []int
	for _, at := range bridged(sb) {
		if t := table(sb, at); t != 0 {
			out = append(out, t)
		}
	}
	return out
}

// ways are the gateways that lead out of a network.
func ways(n store.Network) []netip.Addr {
	if n.Internal {
		return nil
	}
	return gateways(n)
}
