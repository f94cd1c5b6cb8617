/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The layout of everything that crosses between kernel and agent. Go's types
 * are generated from these. Addresses and ports are in network order, times in
 * ticks of 2^26 ns since boot, lengths in bytes.
 */
#ifndef EBNET_TYPES_H
#define EBNET_TYPES_H

#include <linux/types.h>

#define MAX_ENDPOINTS 16384
#define MAX_NETWORKS 1024
#define MAX_SANDBOX_ADDRS 32
#define MAX_PUBLISHES 262144
#define MAX_PORTS 1048576
#define PORTED_PROTOS 3 /* protocols whose ports can be published */
#define MAX_PREFIXES 1048576
#define MAX_HOST_ADDRS 4096
#define MAX_UPLINKS 256
#define MAX_FLOW_HALVES 2097152
#define MAX_HALF_OPEN 65536 /* flows of that kind in flows */
#define MAX_NEW_HALVES 131072
#define MAX_NEXT_HOPS 4096 /* a power of two */
#define MAX_SOCK_ORIGINS 65536
#define MAX_DATAGRAMS 16384
#define MAX_HELD 256 /* a power of two */
#define MAX_HELD_LEN 2048

/* An address of either family; IPv4 is v4-mapped (::ffff:a.b.c.d). */
struct addr {
	__be32 w[4];
};
_Static_assert(sizeof(struct addr) == 16, "addr has holes");

/*
 * A packet's five-tuple. ICMP echo has its identifier where the sender's port
 * would be: sport of a request, dport of a reply; the other port is 0.
 */
struct tuple {
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 pad[3];
};
_Static_assert(sizeof(struct tuple) == 40, "tuple has holes");

/* Who asked for a flow, and so what its translation is. */
enum flow_kind {
	KIND_PUBLISH, /* outside to a published port */
	KIND_MASQ, /* container to the outside */
	KIND_HAIRPIN, /* container to a published port of its host */
	KIND_FORWARD, /* container to the outside, with its own address */
	KIND_HOST, /* the host's own, seen so that containers keep clear of it */
	FLOW_KINDS,
};

/* How far a flow has come; bits, set in both of its halves. */
enum flow_state {
	STATE_REPLIED = 1 << 0, /* the responder has answered */
	STATE_ESTABLISHED = 1 << 1, /* the initiator has answered that */
	STATE_FIN_INITIATOR = 1 << 2,
	STATE_FIN_RESPONDER = 1 << 3,
	STATE_RST = 1 << 4,
	/* a new connection wants its tuple; set in the initiator's half alone. There is no
	 * such flow any more, but its memory can be written over. */
	STATE_OVER = 1 << 5,
};

/* What one half of a flow is. */
enum flow_flag {
	FLOW_INITIATOR = 1 << 0, /* this half is the initiator's direction */
	FLOW_TO_CONTAINER = 1 << 1, /* oif is a host-side veth: cross into its peer */
	FLOW_TO_HOST = 1 << 2, /* the host's own: rewrite and pass on */
	FLOW_EVICTABLE = 1 << 3, /* it is in flows_new, not in flows */
};

/*
 * One direction of a flow, found by the tuple that its packets arrive with.
 * The other direction's key is nat reversed, and its nat this one's key reversed.
 */
struct flow {
	struct tuple nat; /* what the packet becomes */
	__u64 packets; /* of this direction; best effort */
	__u64 bytes;
	__u32 created; /* in ticks of 2^26 ns */
	__u32 seen;
	__u32 iif; /* the only device this direction comes from; 0: any */
	__u32 oif; /* where it goes */
	__u32 hop; /* next hop behind an uplink, see next_hop.h; 0: none */
	__u32 endpoint_gen;
	__u32 publish; /* slot of the publish; 0: none */
	__u32 publish_gen;
	__u16 endpoint; /* slot of the container it concerns */
	__u16 network; /* index, for the counters */
	__u8 kind; /* enum flow_kind */
	__u8 state; /* enum flow_state bits */
	__u8 flags; /* enum flow_flag bits */
	__u8 pad;
};
_Static_assert(sizeof(struct flow) == 96, "flow has holes");

/* Half-open flows. */
struct half_open {
	__s64 count; /* in flows; the sweep corrects it */
	__u64 spilled; /* the tick at which one of TCP was last put into flows_new; 0: none is there */
};

/* A flow being made; too large for the stack. */
struct draft {
	struct flow first; /* the initiator's half */
	struct flow back; /* the answering one */
	struct tuple answer; /* its key */
};

enum endpoint_flag {
	/* it has used a published port of its host: what comes to it from a
	 * neighbour may be a reply to translate. Set by the datapath. */
	ENDPOINT_HAIRPIN = 1 << 0,
};

/* An endpoint, found by any of its addresses or by its host-side device. */
struct endpoint {
	struct addr addr4; /* all zero: none */
	struct addr addr6;
	__u32 ifindex; /* of the host-side veth */
	__u32 slot;
	__u32 gen; /* equal to slots[slot].gen while it lives */
	__u16 network;
	__u8 flags; /* enum endpoint_flag bits */
	__u8 pad;
	__u64 sandbox; /* the same for all endpoints of one; 0: it has no other */
};
_Static_assert(sizeof(struct endpoint) == 56, "endpoint has holes");

/* A set of hashes of addresses. */
struct address_set {
	__u8 bits[8192];
};

/* All addresses of one sandbox, on whatever network; the first that is zero ends them. */
struct sandbox {
	struct addr addrs[MAX_SANDBOX_ADDRS];
};

/* The life of an endpoint's slot: a flow of another generation is dead. */
struct slot {
	__u32 gen;
};

enum network_flag {
	NETWORK_MASQUERADE = 1 << 0,
	NETWORK_INTERNAL = 1 << 1, /* no way out or in */
	NETWORK_NO_ICC = 1 << 2, /* its endpoints cannot reach each other */
	/* the host's own firewall translates for it, too: what it has begun, and what
	 * neighbours say to each other, is left to the kernel */
	NETWORK_KERNEL_NAT = 1 << 3,
};

struct network {
	struct addr gateway4; /* all zero: none */
	struct addr gateway6;
	__u32 flags; /* enum network_flag bits */
	__u32 bridge; /* ifindex */
};
_Static_assert(sizeof(struct network) == 40, "network has holes");

/* A host port; addr is v4-mapped 0.0.0.0 for all IPv4 addresses of the host. */
struct publish_key {
	struct addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};
_Static_assert(sizeof(struct publish_key) == 20, "publish_key has holes");

enum publish_flag {
	PUBLISH_HELD = 1 << 0, /* an engine's own socket keeps others off the port */
};

/* Where a host port leads. */
struct publish {
	struct addr addr; /* the container's; zero: it does not run, the port is kept */
	__be16 port;
	__u16 flags; /* enum publish_flag bits */
	__u32 slot; /* in publish_slots, at least 1; shared by all ports of a range */
};
_Static_assert(sizeof(struct publish) == 24, "publish has holes");

/* The life of a publish: a flow of another generation is dead. Written as a whole. */
struct publish_slot {
	__u32 gen;
	__u32 list; /* of the sources that may connect, in prefixes; 0: anyone may */
};
_Static_assert(sizeof(struct publish_slot) == 8, "publish_slot has holes");

/* A source that a list lets in. */
struct prefix_key {
	__u32 bits; /* how many of what follows count: 32 of the list, and the prefix */
	__be32 list; /* twice its number, plus 1 for IPv4, which no IPv6 prefix covers */
	struct addr addr; /* v4-mapped: an IPv4 /8 has 104 bits */
};
_Static_assert(sizeof(struct prefix_key) == 24, "prefix_key has holes");

struct uplink {
	struct addr addr4; /* masquerade address where the route names none; zero: none */
	struct addr addr6;
};
_Static_assert(sizeof(struct uplink) == 32, "uplink has holes");

/* The link header towards a neighbour behind an uplink. */
struct next_hop {
	struct addr gateway; /* the neighbour */
	__u32 oif;
	__u32 version; /* odd while it is written */
	__u32 gen; /* counts the neighbours that had this place */
	__u32 deadline; /* in ticks; past it the kernel is asked again */
	__u8 header[12]; /* both link addresses */
};
_Static_assert(sizeof(struct next_hop) == 44, "next_hop has holes");

enum host_addr_flag {
	HOST_ADDR_UPLINK = 1 << 0, /* on an uplink */
	HOST_ADDR_GATEWAY = 1 << 1, /* on a bridge of ebnet's */
	HOST_ADDR_BROADCAST = 1 << 2, /* a broadcast address of one of its subnets */
};

/* Settings that change while programs run. One element. */
struct settings {
	__u32 tcp_established; /* ticks without a packet after which a flow ends */
	__u32 tcp_new;
	__u32 tcp_closing;
	__u32 udp;
	__u32 icmp;
	__u16 port_min; /* host order; masquerade chooses from here ... */
	__u16 port_max; /* ... to here when the source's own port is taken */
	__u32 fib_ifindex; /* device with forwarding on, for route look-ups; 0: none */
	__u8 fib_mac[6]; /* its link address */
	__u16 pad;
};
_Static_assert(sizeof(struct settings) == 36, "settings has holes");

/* Why a packet was dropped. */
enum drop_reason {
	DROP_INVALID, /* malformed headers */
	DROP_UNSUPPORTED, /* a protocol that is not translated */
	DROP_FRAGMENT, /* a fragment whose first has not come in time */
	DROP_NO_FLOW, /* TCP in the middle of a connection that is not known */
	DROP_SOURCE, /* the source is not the container's own address, or none that comes from outside */
	DROP_ISOLATED, /* between networks, or into or out of an internal one */
	DROP_DIRECT, /* from outside to a container's own address */
	DROP_NOT_ALLOWED, /* the source is not on the published port's list */
	DROP_NO_ROUTE, /* the host has no route to the destination */
	DROP_NO_PORT, /* masquerade has no port left for this destination */
	DROP_FLOW_TABLE, /* the flow table is full */
	DROP_NO_ENDPOINT, /* the published port's container is gone */
	DROP_TTL, /* time to live exceeded */
	DROP_REWRITE, /* the kernel refused to change the packet */
	DROP_LEAK, /* a container's address on its way out of an uplink */
	DROP_MTU, /* too big for the device that it leaves by; the sender is told */
	DROP_REASONS,
};

/* Direction as the sandbox sees it. */
enum direction {
	DIR_INGRESS,
	DIR_EGRESS,
	DIRECTIONS,
};

/* Which way a packet took. */
enum pkt_path {
	PATH_FORWARD,
	PATH_PUBLISH,
	PATH_MASQUERADE,
	PATH_HAIRPIN,
	PATHS,
};

/* A datagram in fragments, as RFC 791 and RFC 8200 tell one from another. */
struct datagram {
	struct addr src;
	struct addr dst;
	__be32 id;
	__u8 proto;
	__u8 pad[3];
};
_Static_assert(sizeof(struct datagram) == 40, "datagram has holes");

/* What the first fragment of a datagram says for all of them. */
struct first_fragment {
	__be16 sport;
	__be16 dport;
	__u8 tcp_flags;
	__u8 ported;
	__u16 pad;
	__u32 seen;
};
_Static_assert(sizeof(struct first_fragment) == 12, "first_fragment has holes");

/* A fragment that came before its first, kept until that comes. */
struct held_fragment {
	struct datagram of;
	__u32 lock; /* 1: a CPU has it */
	__u32 seen; /* when it came */
	__u32 len; /* of data; 0: the place is free */
	__u32 dir; /* enum direction */
	__u8 data[MAX_HELD_LEN];
};

/* A packet counter; segmentation-offload packets count as their segments,
 * bytes are IP lengths on the wire. */
struct counter {
	__u64 packets;
	__u64 bytes;
};

/* What was decided for one endpoint. */
struct endpoint_counters {
	struct counter dir[DIRECTIONS];
};

/* Indexes of the events map. */
enum event {
	EVENT_MASQ_PORT_TCP, /* no masquerade port left */
	EVENT_MASQ_PORT_UDP,
	EVENT_MASQ_PORT_ICMP,
	EVENT_FLOW_ENDED, /* initiator's halves removed: aged, dead, flushed or replaced */
	EVENTS,
};

/* Flows created: index is kind * FLOW_PROTOS + flow_proto. */
enum flow_proto {
	FLOW_TCP,
	FLOW_UDP,
	FLOW_ICMP,
	FLOW_OTHER,
	FLOW_PROTOS,
};

/* A socket that was sent elsewhere than it asked. */
struct origin_key {
	__u64 cookie;
	struct addr addr; /* where it was sent */
	__be16 port;
	__u16 pad[3];
};
_Static_assert(sizeof(struct origin_key) == 32, "origin_key has holes");

/* Where it had asked to go. */
struct origin {
	struct addr addr;
	__be16 port;
	__u16 pad;
};
_Static_assert(sizeof(struct origin) == 20, "origin has holes");

/* What a sweep is asked to end besides what has aged; see ebnet_sweep. */
struct sweep {
	__u64 visited; /* out: halves looked at */
	__u64 ended; /* out: flows removed */
	__u32 endpoint; /* slot, used with match */
	__u32 publish; /* slot, used with match */
	__u32 match; /* enum sweep_match */
	__be16 port; /* host port for SWEEP_PORT, 0: any of the publish */
	__u16 pad;
};
_Static_assert(sizeof(struct sweep) == 32, "sweep has holes");

enum sweep_match {
	SWEEP_AGED,
	SWEEP_ENDPOINT, /* flows of an endpoint, aged or not */
	SWEEP_PUBLISH, /* flows of a publish, aged or not */
	SWEEP_ALL,
};

/* Names the types that no map uses, so that they reach Go. */
struct go_types {
	enum flow_kind flow_kind;
	enum flow_state flow_state;
	enum flow_flag flow_flag;
	enum endpoint_flag endpoint_flag;
	enum network_flag network_flag;
	enum publish_flag publish_flag;
	enum host_addr_flag host_addr_flag;
	enum drop_reason drop_reason;
	enum direction direction;
	enum pkt_path pkt_path;
	enum event event;
	enum flow_proto flow_proto;
	enum sweep_match sweep_match;
	struct sweep sweep;
};
const struct go_types *go_types __attribute__((unused));

#endif
