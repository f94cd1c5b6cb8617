package datapath

import (
	"net/netip"

	"github.com/ebnet/ebnet/bpf"
)

// Origin is a socket of the host that asked for a published port and was sent to
// the container itself. The kernel may have forgotten older ones.
type Origin struct {
	Cookie uint64         // of the socket
	Asked  netip.AddrPort // where it meant to go
	Target netip.AddrPort // where it went
}

// Origins lists the sockets that were sent to a container.
func (d *Datapath) Origins() ([]Origin, error) {
	all, err := entries[bpf.EbnetOriginKey, bpf.EbnetOrigin](d.maps.Origins)
	if err != nil {
		return nil, err
	}
	out := make([]Origin, 0, len(all))
	for key, asked := range all {
		out = append(out, Origin{
			Cookie: key.Cookie,
			Asked:  fromAddrPort(asked.Addr, asked.Port),
			Target: fromAddrPort(key.Addr, key.Port),
		})
	}
	return out, nil
}
