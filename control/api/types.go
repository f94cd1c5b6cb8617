// Package api is the contract on the wire: the requests and replies that the
// agent and its clients exchange, their parsers, and the client.
//
// It imports nothing else of ebnet, so that other programs can use it.
package api

import (
	"net/netip"
)

// Network is a network as people see it: `ebnet network inspect`.
type Network struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Driver     string            `json:"driver"`
	Scope      string            `json:"scope"`
	Owner      string            `json:"owner"`
	Subnets    []netip.Prefix    `json:"subnets"`
	Gateways   []netip.Addr      `json:"gateways"`
	IPRanges   []netip.Prefix    `json:"ip_ranges"` // what addresses are chosen from; empty: the subnets
	Bridge     string            `json:"bridge"`
	MTU        int               `json:"mtu"` // bytes
	Internal   bool              `json:"internal"`
	ICC        bool              `json:"icc"`
	Masquerade bool              `json:"masquerade"`
	HostIP     string            `json:"host_ip"` // default host address of published ports; empty for all
	Default    bool              `json:"default"`
	Options    map[string]string `json:"options"`
	Labels     map[string]string `json:"labels"`
	Endpoints  []NetworkEndpoint `json:"endpoints"`
}

// NetworkEndpoint is one sandbox's attachment, seen from its network.
type NetworkEndpoint struct {
	Sandbox   string         `json:"sandbox"`
	Addresses []netip.Prefix `json:"addresses"`
	MAC       string         `json:"mac"`
}

// Sandbox is a network namespace with its attachments: `ebnet sandbox inspect`.
type Sandbox struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	Owner     string            `json:"owner"`
	Netns     string            `json:"netns"` // path of the namespace, as `ip netns` keeps it
	Labels    map[string]string `json:"labels"`
	DNS       []netip.Addr      `json:"dns"`
	Endpoints []Endpoint        `json:"endpoints"`
	Published []Publish         `json:"published"`
}

// Endpoint is one attachment, seen from its sandbox.
type Endpoint struct {
	Network       string         `json:"network"`
	Interface     string         `json:"interface"`
	Addresses     []netip.Prefix `json:"addresses"`
	MAC           string         `json:"mac"`
	HostInterface string         `json:"host_interface"`
	HostMAC       string         `json:"host_mac"`
	Gateways      []netip.Addr   `json:"gateways"`
}

// Publish is one published port or range: an element of `ebnet port -o json`.
type Publish struct {
	Proto       string         `json:"proto"`   // tcp, udp or sctp
	HostIP      string         `json:"host_ip"` // "0.0.0.0" or "::" for all of the family
	HostPort    uint16         `json:"host_port"`
	HostPortEnd uint16         `json:"host_port_end"` // equal to HostPort for a single port
	Sandbox     string         `json:"sandbox"`
	Address     netip.Addr     `json:"address"`
	Port        uint16         `json:"port"`
	PortEnd     uint16         `json:"port_end"`
	Allow       []netip.Prefix `json:"allow"` // empty: anyone
	Owner       string         `json:"owner"`
	// Also is in the answer to a PublishCreate that names no host address: the same
	// ports on the host's addresses of the other family.
	Also []Publish `json:"also,omitempty"`
}

// Flow is one translated conversation: an element of `ebnet flows -o json`.
// Addresses are ADDR:PORT, for ICMP ADDR:ID.
type Flow struct {
	Proto       string `json:"proto"`
	Src         string `json:"src"`
	Dst         string `json:"dst"`
	NATSrc      string `json:"nat_src"`
	NATDst      string `json:"nat_dst"`
	Kind        string `json:"kind"`  // publish, masquerade or hairpin
	State       string `json:"state"` // new, established or closing
	Sandbox     string `json:"sandbox"`
	AgeSeconds  int64  `json:"age_seconds"`
	IdleSeconds int64  `json:"idle_seconds"`
	Packets     uint64 `json:"packets"`
	Bytes       uint64 `json:"bytes"`
}

// Status is what `ebnet status` shows.
type Status struct {
	Version    string    `json:"version"`
	Ready      bool      `json:"ready"`
	Uplinks    []Uplink  `json:"uplinks"`
	Networks   int       `json:"networks"`
	Endpoints  int       `json:"endpoints"`
	Published  int       `json:"published"` // ports, so a range counts each of its ports
	Flows      int       `json:"flows"`
	FlowsLimit int       `json:"flows_limit"`
	Programs   []Program `json:"programs"`
	Maps       []Map     `json:"maps"`
	Engines    []Engine  `json:"engines"`
	Problems   []string  `json:"problems"`
}

// Engine is a container engine whose networks the agent serves.
type Engine struct {
	Name      string          `json:"name"` // docker
	Socket    string          `json:"socket"`
	Connected bool            `json:"connected"` // it answers; if not, what it had stays as it was
	Version   string          `json:"version"`   // of the engine
	Networks  []EngineNetwork `json:"networks"`
}

// EngineNetwork is one network of an Engine.
type EngineNetwork struct {
	Name  string `json:"name"`
	State string `json:"state"` // a few words for people, "adopted" if all is well
}

// Uplink is a device by which the host reaches the outside.
type Uplink struct {
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`
}

// Program is one attached BPF program.
type Program struct {
	Hook    string `json:"hook"`   // such as "tcx/ingress" or "cgroup/connect4"
	Device  string `json:"device"` // interface name, or the cgroup's path
	Program string `json:"program"`
	ID      uint32 `json:"id"`
}

// Map is one BPF map and how full it is.
type Map struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	Limit   int    `json:"limit"`
	Bytes   uint64 `json:"bytes"`
}

// NetworkCreate is the body of POST /v1/networks. Resolve holds and completes it.
type NetworkCreate struct {
	Name         string            `json:"name"`
	Driver       string            `json:"driver,omitempty"`    // DriverBridge or DriverNone; empty: DriverBridge
	Subnets      []netip.Prefix    `json:"subnets,omitempty"`   // one of a family at most; none: that of a bridge that exists, or a free one
	Gateways     []netip.Addr      `json:"gateways,omitempty"`  // none: the first of each subnet
	IPRanges     []netip.Prefix    `json:"ip_ranges,omitempty"` // what addresses are chosen from; none: the subnets
	IPv6         bool              `json:"ipv6,omitempty"`      // with an IPv6 subnet; an IPv6 one of Subnets says so, too
	NoIPv4       bool              `json:"no_ipv4,omitempty"`   // without an IPv4 subnet
	Bridge       string            `json:"bridge,omitempty"`    // empty: one of the agent's choosing
	MTU          int               `json:"mtu,omitempty"`       // bytes; 0: that of the uplink with the default route
	Internal     bool              `json:"internal,omitempty"`
	NoICC        bool              `json:"no_icc,omitempty"`
	NoMasquerade bool              `json:"no_masquerade,omitempty"`
	HostIP       netip.Addr        `json:"host_ip,omitzero"`  // of ports published without one; zero value: the agent's
	Options      map[string]string `json:"options,omitempty"` // by Docker's names, such as OptionMTU
	Labels       map[string]string `json:"labels,omitempty"`
}

// NetworkConnect is the body of POST /v1/networks/{name}/connect.
type NetworkConnect struct {
	Sandbox string     `json:"sandbox"`
	IP      netip.Addr `json:"ip,omitzero"`   // zero value: a free one
	IP6     netip.Addr `json:"ip6,omitzero"`  // the same for IPv6
	MAC     string     `json:"mac,omitempty"` // empty: made from the address
}

// NetworkDisconnect is the body of POST /v1/networks/{name}/disconnect.
type NetworkDisconnect struct {
	Sandbox string `json:"sandbox"`
}

// Attachment asks for one network of a new sandbox: `--network NAME,ip=IP,ip6=IP6,mac=MAC`.
type Attachment struct {
	Network string     `json:"network"`
	IP      netip.Addr `json:"ip,omitzero"`
	IP6     netip.Addr `json:"ip6,omitzero"`
	MAC     string     `json:"mac,omitempty"`
}

// SandboxCreate is the body of POST /v1/sandboxes.
type SandboxCreate struct {
	Name     string            `json:"name"` // empty: the agent chooses one
	Networks []Attachment      `json:"networks,omitempty"`
	Publish  []PublishSpec     `json:"publish,omitempty"`
	DNS      []netip.Addr      `json:"dns,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	// OwnerPID, if not 0, is the process whose end removes the sandbox
	// (`ebnet run`), in the agent's PID namespace.
	OwnerPID int `json:"owner_pid,omitempty"`
}

// PublishCreate is the body of POST /v1/publishes.
type PublishCreate struct {
	Spec    PublishSpec    `json:"spec"`
	Sandbox string         `json:"sandbox,omitempty"` // empty: the only one there is
	Network string         `json:"network,omitempty"` // empty: that of the default route
	Allow   []netip.Prefix `json:"allow,omitempty"`
}

// AllowChange is the body of PATCH /v1/publishes/allow: who may connect to what
// is published at a host side. Exactly one of Add, Remove, Set and Any is given;
// Check holds that.
type AllowChange struct {
	Spec   HostSpec       `json:"spec"`
	Add    []netip.Prefix `json:"add,omitempty"`    // these, too
	Remove []netip.Prefix `json:"remove,omitempty"` // these no longer
	Set    []netip.Prefix `json:"set,omitempty"`    // these alone
	Any    bool           `json:"any,omitempty"`    // anyone
}

// PublishSpec is Docker's [HOSTIP:]HOSTPORT[-END]:PORT[-END][/PROTO], parsed by ParsePublish.
type PublishSpec struct {
	HostIP      netip.Addr `json:"host_ip,omitzero"` // zero value: not given
	HostPort    uint16     `json:"host_port"`        // 0: ebnet chooses
	HostPortEnd uint16     `json:"host_port_end"`    // 0 if HostPort is
	Port        uint16     `json:"port"`
	PortEnd     uint16     `json:"port_end"`
	Proto       string     `json:"proto"`
}

// HostSpec is the host side of a PublishSpec, as `unpublish` takes it, parsed by ParseHostSpec.
type HostSpec struct {
	HostIP      netip.Addr `json:"host_ip,omitzero"` // zero value: not given
	HostPort    uint16     `json:"host_port"`
	HostPortEnd uint16     `json:"host_port_end"`
	Proto       string     `json:"proto"`
}

// FlowsFlush says which flows to end; exactly one of its fields is set.
type FlowsFlush struct {
	Sandbox string    `json:"sandbox,omitempty"`
	Port    *HostSpec `json:"port,omitempty"`
	All     bool      `json:"all,omitempty"`
}

// FlowsFlushed is the answer to FlowsFlush.
type FlowsFlushed struct {
	Ended int `json:"ended"`
}

// Purge says how far `ebnet purge` goes.
type Purge struct {
	All bool `json:"all"` // delete the store as well
}

// Version is what `ebnet version` shows of one program.
type Version struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`   // of the source; empty where it was not recorded
	GoVersion string `json:"go_version"` // that compiled it
}
