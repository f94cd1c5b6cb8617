package datapath

import (
	"fmt"

	"github.com/ebnet/ebnet/bpf"
)

// Proto is an IP protocol number.
type Proto uint8

// The protocols that ebnet knows by name.
const (
	ICMP   Proto = 1
	TCP    Proto = 6
	UDP    Proto = 17
	ICMPv6 Proto = 58
	SCTP   Proto = 132
)

func (p Proto) String() string {
	switch p {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMPv6:
		return "icmpv6"
	case SCTP:
		return "sctp"
	}
	return fmt.Sprintf("%d", uint8(p))
}

// ParseProto is the inverse of String for the protocols known by name.
func ParseProto(s string) (Proto, error) {
	for _, p := range []Proto{ICMP, TCP, UDP, ICMPv6, SCTP} {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("protocol %q is unknown", s)
}

// DropReason is why a packet was dropped.
type DropReason uint32

// Why packets are dropped; bpf/lib/types.h says what each means.
const (
	DropInvalid     = DropReason(bpf.EbnetDropReasonDROP_INVALID)
	DropUnsupported = DropReason(bpf.EbnetDropReasonDROP_UNSUPPORTED)
	DropFragment    = DropReason(bpf.EbnetDropReasonDROP_FRAGMENT)
	DropNoFlow      = DropReason(bpf.EbnetDropReasonDROP_NO_FLOW)
	DropSource      = DropReason(bpf.EbnetDropReasonDROP_SOURCE)
	DropIsolated    = DropReason(bpf.EbnetDropReasonDROP_ISOLATED)
	DropDirect      = DropReason(bpf.EbnetDropReasonDROP_DIRECT)
	DropNotAllowed  = DropReason(bpf.EbnetDropReasonDROP_NOT_ALLOWED)
	DropNoRoute     = DropReason(bpf.EbnetDropReasonDROP_NO_ROUTE)
	DropNoPort      = DropReason(bpf.EbnetDropReasonDROP_NO_PORT)
	DropFlowTable   = DropReason(bpf.EbnetDropReasonDROP_FLOW_TABLE)
	DropNoEndpoint  = DropReason(bpf.EbnetDropReasonDROP_NO_ENDPOINT)
	DropTTL         = DropReason(bpf.EbnetDropReasonDROP_TTL)
	DropRewrite     = DropReason(bpf.EbnetDropReasonDROP_REWRITE)
	DropLeak        = DropReason(bpf.EbnetDropReasonDROP_LEAK)
	DropMTU         = DropReason(bpf.EbnetDropReasonDROP_MTU)
	dropReasons     = DropReason(bpf.EbnetDropReasonDROP_REASONS)
)

var dropNames = [...]string{
	DropInvalid:     "invalid",
	DropUnsupported: "unsupported",
	DropFragment:    "fragment",
	DropNoFlow:      "no_flow",
	DropSource:      "source",
	DropIsolated:    "isolated",
	DropDirect:      "direct",
	DropNotAllowed:  "not_allowed",
	DropNoRoute:     "no_route",
	DropNoPort:      "no_port",
	DropFlowTable:   "flow_table",
	DropNoEndpoint:  "no_endpoint",
	DropTTL:         "ttl",
	DropRewrite:     "rewrite",
	DropLeak:        "leak",
	DropMTU:         "mtu",
}

// A reason without a name does not compile.
var _ = [1]struct{}{}[len(dropNames)-int(dropReasons)]

func (r DropReason) String() string { return dropNames[r] }

// Direction is as the sandbox sees it.
type Direction uint32

// Directions of a packet.
const (
	Ingress    = Direction(bpf.EbnetDirectionDIR_INGRESS)
	Egress     = Direction(bpf.EbnetDirectionDIR_EGRESS)
	directions = Direction(bpf.EbnetDirectionDIRECTIONS)
)

var directionNames = [...]string{Ingress: "ingress", Egress: "egress"}

var _ = [1]struct{}{}[len(directionNames)-int(directions)]

func (d Direction) String() string { return directionNames[d] }

// Path is the way that a packet took through the datapath.
type Path uint32

// Paths of a packet.
const (
	PathForward    = Path(bpf.EbnetPktPathPATH_FORWARD)
	PathPublish    = Path(bpf.EbnetPktPathPATH_PUBLISH)
	PathMasquerade = Path(bpf.EbnetPktPathPATH_MASQUERADE)
	PathHairpin    = Path(bpf.EbnetPktPathPATH_HAIRPIN)
	paths          = Path(bpf.EbnetPktPathPATHS)
)

var pathNames = [...]string{
	PathForward: "forward", PathPublish: "publish",
	PathMasquerade: "masquerade", PathHairpin: "hairpin",
}

var _ = [1]struct{}{}[len(pathNames)-int(paths)]

func (p Path) String() string { return pathNames[p] }

// FlowKind is who asked for a flow.
type FlowKind uint8

// Kinds of flows.
const (
	KindPublish    = FlowKind(bpf.EbnetFlowKindKIND_PUBLISH)
	KindMasquerade = FlowKind(bpf.EbnetFlowKindKIND_MASQ)
	KindHairpin    = FlowKind(bpf.EbnetFlowKindKIND_HAIRPIN)
	KindForward    = FlowKind(bpf.EbnetFlowKindKIND_FORWARD) // without translation
	KindHost       = FlowKind(bpf.EbnetFlowKindKIND_HOST)    // the host's own
	flowKinds      = FlowKind(bpf.EbnetFlowKindFLOW_KINDS)
)

var kindNames = [...]string{
	KindPublish: "publish", KindMasquerade: "masquerade",
	KindHairpin: "hairpin", KindForward: "forward", KindHost: "host",
}

var _ = [1]struct{}{}[len(kindNames)-int(flowKinds)]

func (k FlowKind) String() string { return kindNames[k] }

// FlowState is how far a flow has come.
type FlowState uint8

// States of a flow, as people see them.
const (
	StateNew FlowState = iota
	StateEstablished
	StateClosing
)

func (s FlowState) String() string {
	return [...]string{"new", "established", "closing"}[s]
}

const closingBits = uint8(bpf.EbnetFlowStateSTATE_FIN_INITIATOR |
	bpf.EbnetFlowStateSTATE_FIN_RESPONDER | bpf.EbnetFlowStateSTATE_RST)

// stateOf reads the state bits of a flow.
func stateOf(bits uint8) FlowState {
	switch {
	case bits&closingBits != 0:
		return StateClosing
	case bits&uint8(bpf.EbnetFlowStateSTATE_ESTABLISHED) != 0:
		return StateEstablished
	}
	return StateNew
}

var flowProtoNames = [...]string{
	bpf.EbnetFlowProtoFLOW_TCP: "tcp", bpf.EbnetFlowProtoFLOW_UDP: "udp",
	bpf.EbnetFlowProtoFLOW_ICMP: "icmp", bpf.EbnetFlowProtoFLOW_OTHER: "other",
}

var _ = [1]struct{}{}[len(flowProtoNames)-int(bpf.EbnetFlowProtoFLOW_PROTOS)]
