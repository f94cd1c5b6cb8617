// Package systems has what the benchmark compares: ways to connect containers, and the
// limits of what any of them can reach. Each builds a world of its own out of network
// namespaces.
//
// A system is one file: a type with the methods of System, and a line in All.
package systems

import (
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/test/lab"
)

// Direction says who calls whom.
type Direction string

const (
	Published  Direction = "published"  // outside → published port of the host → container
	Masquerade Direction = "masquerade" // container → outside
	C2C        Direction = "c2c"        // container → container on the same network
	Localhost  Direction = "localhost"  // process on the host → published port by 127.0.0.1
)

// Ports that every system publishes as they are, on TCP, the first on UDP too.
const (
	Port  = 7000 // of the benchmark's own tool
	Iperf = 5201
)

// System is one way to connect containers.
type System interface {
	// Name is short and stays: flags and reports use it.
	Name() string
	// About says in one line what it is. After SetUp it says the versions of what is at
	// work, too.
	About() string
	// Available says why the system cannot be measured on this machine; nil if it can.
	Available() error
	// SetUp builds its world. It may use lab's functions, which end it on failure; the
	// lab takes down what they have made, and Cleanup of its testing.TB the rest.
	SetUp(l *lab.Lab, t Cleaner)
	// Route says how a direction is called; false where the system has no such thing.
	Route(d Direction) (Route, bool)
}

// Cleaner takes what is to be done at the end, last first.
type Cleaner interface {
	Cleanup(func())
	Helper()
	Fatalf(format string, args ...any)
}

// Route is where the two ends of a direction are.
type Route struct {
	Client *lab.Machine // runs the client
	Addr   netip.Addr   // that the client calls
	Port   uint16       // other than the usual; 0: the usual
	Server *lab.Machine // runs the server
	Host   *lab.Machine // between them; nil if there is nothing
}

// Checked is a system that can say whether the work of a slice was done as it claims.
type Checked interface {
	System
	// Check begins a slice. What it returns is called at its end.
	Check(d Direction) (end func(Work) error)
}

// Programmed is a system whose BPF programs can be asked what they cost.
type Programmed interface {
	System
	Programs() []ebpf.ProgramID // without doubles
}

// Tracked is a system that netfilter's connection tracking is a part of.
type Tracked interface {
	System
	// Tracks says of a direction whether its connections must be seen there.
	Tracks(d Direction) bool
}

// Work is what a slice has moved, as both ends have counted it.
type Work struct {
	Packets uint64 // that it has taken at least, both ways
	Bytes   uint64 // of payload, both ways
}

// All are the systems that there are, those that others are compared with first.
func All() []System {
	return []System{
		&Loopback{},
		&RawVeth{},
		&Routed{},
		&NullBPF{},
		&Ebnet{name: EbnetName},
		&Ebnet{name: EbnetAgain},
		&NftMap{},
		&CNI{},
		&Docker{name: DockerNft, flavour: "nft"},
		&Docker{name: DockerLegacy, flavour: "legacy"},
		&Docker{name: DockerProxy, flavour: "nft", proxy: true},
		&Podman{},
	}
}

// Names of systems that the report and the targets ask for.
const (
	LoopbackName = "loopback"
	RawVethName  = "raw-veth"
	RoutedName   = "routed-veth"
	NullBPFName  = "null-bpf"
	EbnetName    = "ebnet"
	EbnetAgain   = "ebnet-again" // the same once more: what differs is noise
	NftMapName   = "nftables-map"
	CNIName      = "cni-bridge"
	DockerNft    = "docker-nft"
	DockerLegacy = "docker-legacy"
	DockerProxy  = "docker-proxy"
	PodmanName   = "podman-netavark"
)
