// Package engine says what a container engine beside ebnet has: its networks,
// containers and published ports, in the same words for every engine. The
// packages below it read that from one engine each.
package engine

import (
	"net/netip"
	"time"
)

// World is all that an engine has at one moment. Its lists are sorted by name,
// and names are unique in each. Worlds share what they have in common: they are
// read only.
type World struct {
	Networks   []Network
	Containers []Container
}

// Network is one of an engine's bridge networks. Others are left out.
type Network struct {
	ID         string
	Name       string // without the engine's name in front
	Bridge     string // the device, which is the engine's
	Subnets    []Subnet
	Internal   bool
	ICC        bool // its containers may reach each other
	Masquerade bool
	// MasqueradeUnknown says that Masquerade is false, which the engine says whatever
	// was asked for, and that it cannot be read what that was.
	MasqueradeUnknown bool
	HostIP            netip.Addr // where its ports are published unless they say so; zero: everywhere
	MTU               int        // bytes; 0: not set
	Options           map[string]string
	Labels            map[string]string
	Created           time.Time
}

// Subnet is one subnet of a network. An engine may keep the gateway to itself:
// then it is what the bridge has as its address.
type Subnet struct {
	Prefix  netip.Prefix
	Range   netip.Prefix // zero: the whole subnet
	Gateway netip.Addr   // zero: none, or not said
}

// Container is one container, whether it runs or not.
type Container struct {
	ID        string
	Name      string // without the engine's name in front
	Running   bool   // paused ones included
	Netns     string // path of its network namespace; empty while it has none
	OnHost    bool   // it is in the host's own namespace
	Joins     string // ID of the container whose namespace it shares; that one has the endpoints and ports
	Labels    map[string]string
	Endpoints []Endpoint // on the networks of World.Networks, as long as they are joined
	Ports     []Port     // as long as they are published
	Created   time.Time
}

// Endpoint is a container's place on a network.
type Endpoint struct {
	Network   string         // name
	Addresses []netip.Prefix // IPv4 first
	MAC       string
	Default   bool // it has the container's default route, and published ports lead to it
}

// Port is one published port, or a range of ports of equal length on both sides.
type Port struct {
	Proto       string     // tcp, udp or sctp
	HostIP      netip.Addr // 0.0.0.0 or :: for all of the family
	HostPort    uint16
	HostPortEnd uint16 // inclusive
	Port        uint16
	PortEnd     uint16 // inclusive
}
