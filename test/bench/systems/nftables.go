package systems

import (
	"fmt"
	"strings"

	"github.com/ebnet/ebnet/test/lab"
)

// NftMap is the honest rival: a bridge, the kernel's routing, and a hand-written nftables
// ruleset that looks published ports up in a map.
type NftMap struct {
	netfilter
	version string
}

func (*NftMap) Name() string { return NftMapName }

func (s *NftMap) About() string {
	return strings.TrimSpace("bridge, hand-written nftables DNAT map and masquerade " + s.version)
}

func (*NftMap) Available() error { return Needs("nft") }

// ruleset leaves out what a careful administrator would add: filters.
const ruleset = `table ip bench {
	map ports {
		type inet_proto . inet_service : ipv4_addr . inet_service
		elements = {
			tcp . %[1]d : %[3]s . %[1]d,
			udp . %[1]d : %[3]s . %[1]d,
			tcp . %[2]d : %[3]s . %[2]d
		}
	}
	chain prerouting {
		type nat hook prerouting priority dstnat
		fib daddr type local dnat ip to meta l4proto . th dport map @ports
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr %[4]s oifname "eth0" masquerade
	}
}
`

func (s *NftMap) SetUp(l *lab.Lab, _ Cleaner) {
	s.version = versionOf("nft", "--version")
	s.netfilter = netfilter{newSite(l)}
	s.bridged(l, "web", "a", "b")
	s.host.Sysctl("net.ipv4.ip_forward", "1")
	s.host.Run("nft", "-f", l.File("ruleset", fmt.Sprintf(ruleset, Port, Iperf, containerIP(0), subnet)))
}

// Route leaves localhost out: it would want route_localnet.
func (s *NftMap) Route(d Direction) (Route, bool) { return s.published(d, containerAddrs(3)) }
