package docker

import "time"

// What is read of Docker's replies, under Docker's own names.

type versionReply struct {
	Version       string
	APIVersion    string `json:"ApiVersion"`
	MinAPIVersion string
}

type networkReply struct {
	ID       string `json:"Id"`
	Name     string
	Created  time.Time
	Driver   string
	Internal bool
	IPAM     struct{ Config []ipamConfig }
	Options  map[string]string
	Labels   map[string]string
}

// membersReply is what the inspection of one network says of the containers that are on
// it, by their IDs, however far Docker is with starting them.
type membersReply struct {
	Name       string
	Options    map[string]string
	Containers map[string]struct{ MacAddress, IPv4Address, IPv6Address string }
}

type ipamConfig struct{ Subnet, IPRange, Gateway string }

// containerReply is what the inspection of one container says.
type containerReply struct {
	ID      string `json:"Id"`
	Name    string // with a "/" in front
	Created time.Time
	State   struct{ Running, Restarting bool }
	Config  struct{ Labels map[string]string }

	HostConfig struct {
		NetworkMode  string
		PortBindings map[string][]portBinding // as asked for: without a port, or with several to choose from
	}

	NetworkSettings struct {
		SandboxKey string // stays when the container ends
		Ports      map[string][]portBinding
		Networks   map[string]endpointReply
	}
}

type portBinding struct{ HostIP, HostPort string }

type endpointReply struct {
	NetworkID           string
	Gateway             string
	GwPriority          int
	IPAddress           string // empty while the container does not run
	IPPrefixLen         int
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	MacAddress          string
}

// summaryReply is what the list of all containers says of each.
type summaryReply struct {
	ID      string `json:"Id"`
	Names   []string
	Created int64 // Unix time, seconds
	State   string
	Labels  map[string]string

	HostConfig struct{ NetworkMode string }

	Ports []struct {
		IP          string
		PrivatePort uint16
		PublicPort  uint16 // 0: exposed only
		Type        string
	}
	NetworkSettings struct{ Networks map[string]endpointReply }
}

type event struct {
	Type   string // network or container
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string
	}
}
