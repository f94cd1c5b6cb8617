package datapath

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/ebnet/ebnet/bpf"
)

// Uplink is a device by which the host reaches the outside, with the address
// that masquerade takes where the route names none.
type Uplink struct {
	Ifindex uint32
	Addr4   netip.Addr
	Addr6   netip.Addr
}

// SetUplinks makes these the uplinks, and no others.
func (d *Datapath) SetUplinks(uplinks []Uplink) error {
	want := make(map[uint32]bpf.EbnetUplink, len(uplinks))
	for _, u := range uplinks {
		want[u.Ifindex] = bpf.EbnetUplink{Addr4: toAddr(u.Addr4), Addr6: toAddr(u.Addr6)}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return replace(d.maps.Uplinks, want)
}

// HostAddr is an address that the host answers to.
type HostAddr struct {
	Addr      netip.Addr
	Uplink    bool // it is on an uplink
	Gateway   bool // it is on a bridge of ebnet's
	Broadcast bool // it is the broadcast address of one of the host's subnets
}

// SetHostAddrs makes these the host's addresses, and no others. Loopback
// addresses do not belong here: nothing from a wire is ever for them.
func (d *Datapath) SetHostAddrs(addrs []HostAddr) error {
	want := make(map[bpf.EbnetAddr]uint32, len(addrs))
	for _, a := range addrs {
		var flags bpf.EbnetHostAddrFlag
		if a.Uplink {
			flags |= bpf.EbnetHostAddrFlagHOST_ADDR_UPLINK
		}
		if a.Gateway {
			flags |= bpf.EbnetHostAddrFlagHOST_ADDR_GATEWAY
		}
		if a.Broadcast {
			flags |= bpf.EbnetHostAddrFlagHOST_ADDR_BROADCAST
		}
		want[toAddr(a.Addr)] = uint32(flags)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return replace(d.maps.HostAddrs, want)
}

// Settings change how programs that are running behave. The times say after how
// long without a packet a flow ends, in whole Ticks.
type Settings struct {
	TCPEstablished time.Duration // RFC 5382 REQ-5: at least 2 h 4 min
	TCPNew         time.Duration
	TCPClosing     time.Duration // RFC 5382 REQ-5: at least 4 min
	UDP            time.Duration // RFC 4787 REQ-5: at least 2 min, better 5
	ICMP           time.Duration // RFC 5508 REQ-2: at least 60 s
	PortMin        uint16        // masquerade chooses from here ...
	PortMax        uint16        // ... to here when a source's own port is taken
	FIBIfindex     uint32        // a device with forwarding on, for route look-ups
	FIBMAC         [6]byte       // its link address
}

// DefaultSettings are those of the RFCs.
func DefaultSettings() Settings {
	return Settings{
		TCPEstablished: 7440 * time.Second,
		TCPNew:         240 * time.Second,
		TCPClosing:     240 * time.Second,
		UDP:            300 * time.Second,
		ICMP:           60 * time.Second,
		PortMin:        1024,
		PortMax:        65535,
	}
}

// SetSettings writes the settings.
func (d *Datapath) SetSettings(s Settings) error {
	raw := bpf.EbnetSettings{
		TcpEstablished: ticks(s.TCPEstablished), TcpNew: ticks(s.TCPNew),
		TcpClosing: ticks(s.TCPClosing), Udp: ticks(s.UDP), Icmp: ticks(s.ICMP),
		PortMin: s.PortMin, PortMax: s.PortMax, FibIfindex: s.FIBIfindex, FibMac: s.FIBMAC,
	}
	if err := d.maps.Config.Put(uint32(0), raw); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}
