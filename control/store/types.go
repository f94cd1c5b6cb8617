package store

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"
)

// State is all desired state at one moment, each list sorted by name or key.
type State struct {
	Networks  []Network
	Sandboxes []Sandbox
	Publishes []Publish
	Lists     []SourceList
}

// Network is one network that should exist.
type Network struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Index      uint16            `json:"index"`  // its number in the datapath; 0 only where it has none: driver none
	Driver     string            `json:"driver"` // bridge, or none: no subnet, no bridge
	Owner      string            `json:"owner"`  // who asked: ebnet, docker, cni
	Subnets    []Subnet          `json:"subnets"`
	Bridge     string            `json:"bridge,omitempty"`      // name of the device
	BridgeMAC  string            `json:"bridge_mac,omitempty"`  // kept, so that it is the same after a repair
	OwnsBridge bool              `json:"owns_bridge,omitempty"` // ebnet made it, so ebnet deletes it
	MTU        int               `json:"mtu,omitempty"`         // bytes; 0 for that of the uplink
	Internal   bool              `json:"internal,omitempty"`
	ICC        bool              `json:"icc"`
	Masquerade bool              `json:"masquerade"`
	HostIP     netip.Addr        `json:"host_ip,omitzero"` // default host address of its published ports
	Options    map[string]string `json:"options,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Created    time.Time         `json:"created,omitzero"`
}

// Subnet is one subnet of a network and how its addresses are given out.
type Subnet struct {
	Prefix  netip.Prefix `json:"prefix"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
	Range   netip.Prefix `json:"range,omitzero"`  // zero value: the whole subnet
	Cursor  netip.Addr   `json:"cursor,omitzero"` // where the search for the next free address begins
	// Reserved are never given out: the host's other addresses on a bridge that
	// was there before the network.
	Reserved []netip.Addr `json:"reserved,omitempty"`
	// AddsGateway says that a bridge that was there before the network did not have
	// the gateway's address: ebnet put it there, so ebnet takes it off.
	AddsGateway bool `json:"adds_gateway,omitempty"`
}

// Sandbox is one network namespace that should exist, with its attachments.
type Sandbox struct {
	Name        string            `json:"name"`
	ID          string            `json:"id"`
	Owner       string            `json:"owner"` // who asked: ebnet, docker, cni
	Netns       string            `json:"netns"` // path of the namespace
	DNS         []netip.Addr      `json:"dns,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Attachments []Attachment      `json:"attachments"`
	Process     *Process          `json:"process,omitempty"` // its end removes the sandbox; nil: nothing does
	// Way is of an engine's containers alone: the network by which the default route
	// leads, the last one known while the container is stopped.
	Way string `json:"way,omitempty"`
	// Allow is where source lists were before there was State.Lists.
	Allow   []PortAllow `json:"allow,omitempty"`
	Created time.Time   `json:"created,omitzero"`
}

// Attachment is one interface of a sandbox on one network.
type Attachment struct {
	Network       string         `json:"network"`
	Interface     string         `json:"interface"` // inside, such as eth0
	Addresses     []netip.Prefix `json:"addresses"`
	MAC           string         `json:"mac"`
	HostInterface string         `json:"host_interface"`
	HostMAC       string         `json:"host_mac,omitempty"`
}

// PortAllow is a SourceList as earlier versions kept it beside a container.
type PortAllow struct {
	Proto    string         `json:"proto"`
	HostIP   netip.Addr     `json:"host_ip"`
	HostPort uint16         `json:"host_port"` // the first of a range, as it was published last
	Port     uint16         `json:"port"`      // of the container
	Allow    []netip.Prefix `json:"allow"`
}

// SourceList is who may connect to ports of the host whenever an engine publishes
// them, to whichever container. It has the key of a publish.
type SourceList struct {
	Proto       string     `json:"proto"`
	HostIP      netip.Addr `json:"host_ip"`
	HostPort    uint16     `json:"host_port"`
	HostPortEnd uint16     `json:"host_port_end"` // inclusive
	Owner       string     `json:"owner"`         // the engine
	// Container (an ID) and Port are what HostPort led to when the list was made: it
	// follows them if the engine chooses another host port. Empty: it follows none.
	Container string         `json:"container,omitempty"`
	Port      uint16         `json:"port,omitempty"`
	Allow     []netip.Prefix `json:"allow"`
}

// Key returns the key under which l is kept.
func (l SourceList) Key() PublishKey {
	return PublishKey{Proto: l.Proto, HostIP: l.HostIP, HostPort: l.HostPort}
}

// Process names one process for good: a pid alone can be given to another.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`  // boot ID, since ticks begin anew with each boot
}

// Publish is one published port or range of ports.
type Publish struct {
	Proto       string         `json:"proto"`   // tcp, udp or sctp
	HostIP      netip.Addr     `json:"host_ip"` // 0.0.0.0 or :: for all
	HostPort    uint16         `json:"host_port"`
	HostPortEnd uint16         `json:"host_port_end"` // inclusive
	Sandbox     string         `json:"sandbox"`
	Network     string         `json:"network"` // empty: that of the default route of an engine's container
	Port        uint16         `json:"port"`
	PortEnd     uint16         `json:"port_end"`        // inclusive
	Allow       []netip.Prefix `json:"allow,omitempty"` // empty: anyone
	Owner       string         `json:"owner"`
}

// PublishKey is the host side of a Publish, which no two of them share.
type PublishKey struct {
	Proto    string
	HostIP   netip.Addr
	HostPort uint16 // the first of a range
}

// Key returns the key under which p is kept.
func (p Publish) Key() PublishKey {
	return PublishKey{Proto: p.Proto, HostIP: p.HostIP, HostPort: p.HostPort}
}

// String sorts by port number within a protocol and an address.
func (k PublishKey) String() string {
	return fmt.Sprintf("%s/%s/%05d", k.Proto, k.HostIP, k.HostPort)
}

// Compare orders keys by protocol, address and port.
func (k PublishKey) Compare(o PublishKey) int {
	return cmp.Or(cmp.Compare(k.Proto, o.Proto), k.HostIP.Compare(o.HostIP), cmp.Compare(k.HostPort, o.HostPort))
}

// NewID returns 32 random bytes as 64 hex digits.
func NewID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}
