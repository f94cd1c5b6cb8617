/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Link headers towards neighbours behind uplinks. The kernel could be asked for
 * every packet (bpf_redirect_neigh), which costs about 3 % of a round trip. So
 * its answer is kept for two seconds; then one packet goes the kernel's way,
 * which also has it probe the neighbour, and the answer is asked for again, by
 * the datapath itself: a gateway that changes is followed without the agent.
 */
#ifndef EBNET_NEXT_HOP_H
#define EBNET_NEXT_HOP_H

#include "flow.h"

#define AF_INET 2
#define AF_INET6 10
#define HOP_TICKS 30 /* 2 s */

/* A flow's hop: the place in the map, and which of its neighbours is meant. */
#define HOP_PLACE_BITS 12
_Static_assert(MAX_NEXT_HOPS == 1 << HOP_PLACE_BITS, "a hop's place has no room");

static __always_inline __u32 hop_place(__u32 hop)
{
	return hop & (MAX_NEXT_HOPS - 1);
}

static __always_inline __u32 hop_name(__u32 place, __u32 gen)
{
	return place | gen << HOP_PLACE_BITS;
}

static __always_inline bool hop_expired(const struct next_hop *hop, __u32 now)
{
	return (__s32)(now - hop->deadline) > 0;
}

/* Any well-mixed number of a neighbour; place 0 stays free, for "none". */
static __always_inline __u32 hop_hash(const struct addr *gateway, __u32 oif)
{
	__u32 h = gateway->w[0] ^ gateway->w[1] ^ gateway->w[2] ^ gateway->w[3];

	h = (h ^ oif) * 0x9e3779b1;
	return (h >> (32 - HOP_PLACE_BITS)) ?: 1;
}

/* Asks the kernel's routes and neighbours, through a device that has forwarding on. */
static __always_inline long ask_fib(struct __sk_buff *skb, struct bpf_fib_lookup *fib, __u32 flags)
{
	struct settings *cfg = settings_get();

	if (!cfg)
		return -ENOENT;
	fib->ifindex = cfg->fib_ifindex;
	return bpf_fib_lookup(skb, fib, sizeof(*fib), flags);
}

/* Who wants to know the way, and to whom. */
static __always_inline void fib_ask_for(struct bpf_fib_lookup *fib, const struct tuple *t)
{
	fib->l4_protocol = t->proto;
	if (addr_is_v4(&t->dst)) {
		fib->family = AF_INET;
		fib->ipv4_src = t->src.w[3];
		fib->ipv4_dst = t->dst.w[3];
	} else {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_src, &t->src, sizeof(t->src));
		__builtin_memcpy(fib->ipv6_dst, &t->dst, sizeof(t->dst));
	}
}

/* The neighbour that the kernel has named, which may be of the other family (RFC 5549). */
static __always_inline struct addr fib_gateway(const struct bpf_fib_lookup *fib)
{
	struct addr gateway;

	if (fib->family == AF_INET)
		return addr_v4(fib->ipv4_dst);
	__builtin_memcpy(&gateway, fib->ipv6_dst, sizeof(gateway));
	return gateway;
}

/* Is this the neighbour whose place it is? */
static __always_inline bool hop_is(const struct next_hop *hop, const struct addr *gateway,
				   __u32 oif)
{
	return hop->oif == oif && addr_equal(&hop->gateway, gateway);
}

/* The hop of what the kernel has just been asked for, where it is known well enough; else 0. */
static __always_inline __u32 hop_known(const struct bpf_fib_lookup *fib)
{
	struct addr gateway = fib_gateway(fib);
	__u32 place = hop_hash(&gateway, fib->ifindex);
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &place);

	if (!hop || !hop_is(hop, &gateway, fib->ifindex) || hop_expired(hop, now_ticks()))
		return 0;
	return hop_name(place, hop->gen);
}

/* Takes or renews a neighbour's place; one that another neighbour lives in stays its. */
static __always_inline void hop_write(struct flow *f, const struct bpf_fib_lookup *fib)
{
	struct addr gateway = fib_gateway(fib);
	__u32 place = hop_hash(&gateway, fib->ifindex);
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &place);
	__u32 version, now = now_ticks();
	bool same;

	if (!hop)
		return;
	same = hop_is(hop, &gateway, fib->ifindex);
	if (!same && !hop_expired(hop, now))
		return;
	version = hop->version;
	if (version & 1 ||
	    __sync_val_compare_and_swap(&hop->version, version, version + 1) != version)
		return;
	if (!same)
		hop->gen++;
	hop->gateway = gateway;
	hop->oif = fib->ifindex;
	__builtin_memcpy(hop->header, fib->dmac, ETH_ALEN);
	__builtin_memcpy(hop->header + ETH_ALEN, fib->smac, ETH_ALEN);
	hop->deadline = now + HOP_TICKS;
	__sync_fetch_and_add(&hop->version, 1);
	f->hop = hop_name(place, hop->gen);
}

/*
 * Renews what is known of a flow's next hop, for the packets to come. A route
 * that leads out of another device than the flow's is not followed: its outside
 * address belongs to that one.
 */
static __noinline int hop_renew(struct __sk_buff *skb, struct flow *f)
{
	struct bpf_fib_lookup fib = {};

	if (!f)
		return 0;
	fib_ask_for(&fib, &f->nat);
	if (ask_fib(skb, &fib, 0) == BPF_FIB_LKUP_RET_SUCCESS && fib.ifindex == f->oif)
		hop_write(f, &fib);
	return 0;
}

/* Copies the link addresses of a flow's next hop out; false where it is not known, or no longer for sure. */
static __always_inline bool hop_header(const struct flow *f, __u8 *header, __u32 now)
{
	__u32 place = hop_place(f->hop);
	struct next_hop *hop = bpf_map_lookup_elem(&next_hops, &place);
	__u32 version;

	if (!place || !hop || hop_expired(hop, now) || hop_name(place, hop->gen) != f->hop)
		return false;
	version = *(volatile __u32 *)&hop->version;
	__builtin_memcpy(header, hop->header, 2 * ETH_ALEN);
	return !(version & 1) && version == *(volatile __u32 *)&hop->version;
}

#endif
