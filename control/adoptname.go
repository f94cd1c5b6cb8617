package control

import (
	"net/netip"
	"slices"
)

// nameGuests says of the engine's endpoints whose they are, as far as the engine has
// told, and of its containers which links are theirs.
func (a *Agent) nameGuests() {
	if !a.adopted.unnamed {
		return
	}
	a.adopted.unnamed = false
	type place struct {
		network string
		addr    netip.Addr
	}
	at := map[place]guest{}
	for _, g := range a.adopted.guests {
		for _, addr := range []netip.Addr{g.addrs.v4, g.addrs.v6} {
			if addr.IsValid() {
				at[place{g.network, addr}] = g
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	named := map[string]string{}
	for name, sb := range a.want.sandboxes {
		if !foreign(sb.Owner) {
			continue
		}
		sb.Attachments = slices.Clone(sb.Attachments)
		for i := range sb.Attachments {
			here := &sb.Attachments[i]
			here.Interface, here.HostInterface, here.HostMAC = "", "", ""
			for _, addr := range here.Addresses {
				if g, ok := at[place{here.Network, addr.Addr()}]; ok {
					here.Interface, here.HostInterface, here.HostMAC = g.peer, g.link.Name, g.link.MAC.String()
					named[g.link.Name] = name
				}
			}
		}
		a.want.sandboxes[name] = sb
	}
	for _, g := range a.adopted.guests {
		if ep, ok := a.live.endpoints[g.link.Name]; ok {
			ep.sandbox = named[g.link.Name]
			a.live.endpoints[g.link.Name] = ep
		}
	}
}
