package metrics

import (
	"fmt"
	"net/netip"
)

// View is what the datapath's numbers mean at this moment, and how the agent
// itself does; whoever runs the agent fills it at each scrape.
type View struct {
	Networks   map[uint16]string  // names by index
	Sandboxes  map[uint32]Sandbox // by endpoint slot
	Publishes  map[uint32]Publish // by publish slot
	Devices    map[int]Device     // by ifindex
	Addresses  []netip.Addr       // that masquerade uses
	Problems   int                // that `ebnet status` shows
	Repairs    map[string]uint64  // by kind
	Reconciles Reconciles
	PortsLimit int // ports that masquerade has for each address
}

// Reconciles sum up the agent's reconciles since its start.
type Reconciles struct {
	Errors  uint64             // those that left something wrong
	Count   uint64             // all
	Seconds float64            // that they took together
	Buckets map[float64]uint64 // how many took at most so many seconds
}

// Sandbox names one endpoint.
type Sandbox struct {
	Network string
	Sandbox string
	Ifindex int // of the host-side device
}

// Publish names one publish; a range is one.
type Publish struct {
	Network, Sandbox, Proto, HostIP string
	HostPorts                       string // "8080", or "9000-9010"
	Ports                           int    // how many
}

// Device is what the kernel itself brought to a container, link headers included.
type Device struct {
	TxPackets, TxBytes uint64
}

// Detail says which series are left out where sandboxes come and go fast.
type Detail int

// Details, each with all that those before it have.
const (
	DetailNetwork Detail = iota // nothing for each sandbox or publish
	DetailSandbox               // nothing for each publish
	DetailPublish               // everything
)

// ParseDetail reads network, sandbox or publish.
func ParseDetail(s string) (Detail, error) {
	for d, name := range []string{"network", "sandbox", "publish"} {
		if s == name {
			return Detail(d), nil
		}
	}
	return 0, fmt.Errorf("metrics detail %q is none of network, sandbox, publish", s)
}
