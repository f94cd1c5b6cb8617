/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Counters, each its CPU's own: exact without an atomic. */
#ifndef EBNET_COUNT_H
#define EBNET_COUNT_H

#include "maps.h"
#include "packet.h"

static __always_inline void counter_add(struct counter *c, const struct pkt *p)
{
	c->packets += p->segs;
	c->bytes += p->bytes;
}

/* A packet counts once for its network, where it is decided on. */
static __always_inline void count_path(const struct pkt *p, __u32 network, enum direction dir,
				       enum pkt_path path)
{
	__u32 i = (network * DIRECTIONS + dir) * PATHS + path;
	struct counter *c = bpf_map_lookup_elem(&packets, &i);

	if (c)
		counter_add(c, p);
}

static __always_inline void count_endpoint(const struct pkt *p, __u32 slot, enum direction dir)
{
	struct endpoint_counters *c = bpf_map_lookup_elem(&ep_counters, &slot);

	if (c)
		counter_add(&c->dir[dir], p);
}

static __always_inline void count_drop(__u32 reason, enum direction dir, __u32 segs)
{
	__u32 i = reason * DIRECTIONS + dir;
	__u64 *n = bpf_map_lookup_elem(&drops, &i);

	if (n)
		*n += segs;
}

static __always_inline void count_event(__u32 event)
{
	__u64 *n = bpf_map_lookup_elem(&events, &event);

	if (n)
		*n += 1;
}

static __always_inline enum flow_proto flow_proto(__u8 proto)
{
	return proto == IPPROTO_TCP                               ? FLOW_TCP
	       : proto == IPPROTO_UDP                             ? FLOW_UDP
	       : proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ? FLOW_ICMP
								  : FLOW_OTHER;
}

static __always_inline void count_flow(__u32 kind, __u8 proto)
{
	__u32 i = kind * FLOW_PROTOS + flow_proto(proto);
	__u64 *n = bpf_map_lookup_elem(&flows_created, &i);

	if (n)
		*n += 1;
}

/* Turns what a program decided into what TC does, and counts a drop. */
static __always_inline int verdict(const struct pkt *p, enum direction dir, int ret)
{
	if (ret < DROP_BASE)
		return ret;
	count_drop(ret - DROP_BASE, dir, p->segs ?: 1);
	return TC_ACT_SHOT;
}

#endif
