package datapath

import (
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/bpf"
)

// Network is what the programs know of a network.
type Network struct {
	Index      uint16 // chosen by the caller; counters are kept by it
	Gateway4   netip.Addr
	Gateway6   netip.Addr
	Bridge     uint32 // ifindex
	Masquerade bool   // to the outside with the host's address
	Internal   bool   // no way out or in
	ICC        bool   // its endpoints reach each other
	KernelNAT  bool   // the host's own firewall translates for it, too: its connections are left to it
}

// PutNetwork writes a network.
func (d *Datapath) PutNetwork(n Network) error {
	raw := bpf.EbnetNetwork{Gateway4: toAddr(n.Gateway4), Gateway6: toAddr(n.Gateway6), Bridge: n.Bridge}
	for _, f := range networkFlags(&n) {
		if *f.field != f.inverse {
			raw.Flags |= uint32(f.bit)
		}
	}
	if err := d.maps.Networks.Put(uint32(n.Index), raw); err != nil {
		return fmt.Errorf("write network %d: %w", n.Index, full(err))
	}
	return nil
}

// DeleteNetwork clears a network and its counters.
func (d *Datapath) DeleteNetwork(index uint16) error {
	if err := d.maps.Networks.Put(uint32(index), bpf.EbnetNetwork{}); err != nil {
		return fmt.Errorf("delete network %d: %w", index, err)
	}
	return d.clearPathCounters(index)
}

// Networks lists what the programs know, by index.
func (d *Datapath) Networks() ([]Network, error) {
	var out []Network
	for e, err := range elements[uint32, bpf.EbnetNetwork](d.maps.Networks) {
		if err != nil {
			return nil, err
		}
		raw := e.val
		if raw.Bridge == 0 {
			continue
		}
		n := Network{
			Index: uint16(e.key), Bridge: raw.Bridge,
			Gateway4: fromAddr(raw.Gateway4), Gateway6: fromAddr(raw.Gateway6),
		}
		for _, f := range networkFlags(&n) {
			*f.field = (raw.Flags&uint32(f.bit) != 0) != f.inverse
		}
		out = append(out, n)
	}
	return out, nil
}

type networkFlag struct {
	field   *bool
	bit     bpf.EbnetNetworkFlag
	inverse bool // the bit says that it is off
}

func networkFlags(n *Network) []networkFlag {
	return []networkFlag{
		{&n.Masquerade, bpf.EbnetNetworkFlagNETWORK_MASQUERADE, false},
		{&n.Internal, bpf.EbnetNetworkFlagNETWORK_INTERNAL, false},
		{&n.ICC, bpf.EbnetNetworkFlagNETWORK_NO_ICC, true},
		{&n.KernelNAT, bpf.EbnetNetworkFlagNETWORK_KERNEL_NAT, false},
	}
}
