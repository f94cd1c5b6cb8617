/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Where packets go: into a container, out of an uplink, along a flow. */
#ifndef EBNET_OUTPUT_H
#define EBNET_OUTPUT_H

#include "kernel.h"
#include "next_hop.h"

/* Kernel 6.7; what older kernels refuse is asked again without it. */
#define FIB_LOOKUP_SRC (1U << 4)

struct route {
	struct addr src; /* that the host would take to get there */
	__u32 oif;
	__u32 hop; /* see next_hop.h; 0: not known yet */
};

/*
 * Crosses into the container behind a host-side veth. The kernel looks at the
 * packet's type there, not at its link header; since 6.15 it sets the type
 * itself.
 */
static __always_inline int to_container(struct __sk_buff *skb, __u32 host_side)
{
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return bpf_redirect_peer(host_side, 0);
}

/* The uplink's own address, where the route names none. */
static __always_inline int uplink_source(struct route *rt)
{
	struct uplink *up = bpf_map_lookup_elem(&uplinks, &rt->oif);
	struct addr *own;

	if (!up)
		return DROP(DROP_NO_ROUTE);
	own = addr_is_v4(&rt->src) ? &up->addr4 : &up->addr6;
	if (own->w[2] == 0 && own->w[0] == 0) /* it has none of this family */
		return DROP(DROP_NO_ROUTE);
	if (addr_is_any(&rt->src))
		rt->src = *own;
	return 0;
}

/*
 * Finds the way out as the kernel would, through a device that has forwarding
 * on, so that the host's own setting does not matter. Returns 0, PASS where the
 * kernel says that the destination is the host itself, or a reason to drop.
 */
static __noinline int find_route(struct __sk_buff *skb, const struct pkt *p, struct route *rt)
{
	struct bpf_fib_lookup fib = {};
	long ret;

	fib_ask_for(&fib, &p->t);
	ret = ask_fib(skb, &fib, FIB_LOOKUP_SRC);
	if (!p->v6)
		rt->src = addr_v4(fib.ipv4_src);
	else
		__builtin_memcpy(&rt->src, fib.ipv6_src, sizeof(rt->src));
	if (ret == -EINVAL) {
		ret = ask_fib(skb, &fib, 0);
		rt->src = addr_any_like(&p->t.src);
	}
	if (ret == BPF_FIB_LKUP_RET_NOT_FWDED)
		return PASS;
	if (ret == BPF_FIB_LKUP_RET_FRAG_NEEDED)
		ret = BPF_FIB_LKUP_RET_SUCCESS; /* along() sees to that */
	if (ret != BPF_FIB_LKUP_RET_SUCCESS && ret != BPF_FIB_LKUP_RET_NO_NEIGH)
		return DROP(DROP_NO_ROUTE);
	rt->oif = fib.ifindex;
	rt->hop = ret == BPF_FIB_LKUP_RET_SUCCESS ? hop_known(&fib) : 0;
	return uplink_source(rt);
}

static __always_inline enum pkt_path path_of(__u8 kind)
{
	return kind == KIND_PUBLISH   ? PATH_PUBLISH
	       : kind == KIND_MASQ    ? PATH_MASQUERADE
	       : kind == KIND_FORWARD ? PATH_FORWARD
				      : PATH_HAIRPIN;
}

/* Counts a container's packet for its network, and for those it leaves and reaches. */
static __always_inline void count_flow_packet(struct __sk_buff *skb, const struct pkt *p,
					      const struct flow *f, enum direction dir)
{
	struct endpoint *ep;
	__u32 ifindex = skb->ifindex;

	count_path(p, f->network, dir, path_of(f->kind));
	if (f->kind != KIND_HAIRPIN) {
		count_endpoint(p, f->endpoint,
			       f->flags & FLOW_TO_CONTAINER ? DIR_INGRESS : DIR_EGRESS);
		return;
	}
	ep = bpf_map_lookup_elem(&devices, &ifindex);
	if (ep)
		count_endpoint(p, ep->slot, DIR_EGRESS);
	ifindex = f->oif;
	ep = bpf_map_lookup_elem(&devices, &ifindex);
	if (ep)
		count_endpoint(p, ep->slot, DIR_INGRESS);
}

/*
 * The kernel forwards this packet of a flow, or tells its sender why not; of what it
 * fragments, to_ext translates the parts.
 */
static __noinline int along_by_kernel(struct __sk_buff *skb, const struct pkt *p, struct flow *f,
				      enum direction dir)
{
	struct tuple nat = f->nat;

	if (p->ttl <= 1)
		count_drop(DROP_TTL, dir, p->segs);
	else if (!may_be_fragmented(skb, p))
		count_drop(DROP_MTU, dir, p->segs);
	else
		count_flow_packet(skb, p, f, dir);
	if (f->flags & FLOW_TO_CONTAINER && rewrite(skb, p, &nat, 0))
		return DROP(DROP_REWRITE);
	return to_kernel(skb);
}

/*
 * Sends a packet along its flow; NULL is one that was evicted as soon as made.
 * Invalidates packet pointers, and f.
 */
CHECKED_ALONE int along(struct __sk_buff *skb, const struct pkt *p, struct flow *f,
			enum direction dir)
{
	__u8 header[2 * ETH_ALEN];
	bool known = false;
	struct tuple nat;
	__u32 oif, now;
	__u8 flags;
	int err;

	if (!p || !f)
		return DROP(DROP_FLOW_TABLE);
	now = now_ticks();
	nat = f->nat;
	oif = f->oif;
	flags = f->flags;
	if (flags & FLOW_TO_HOST) {
		flow_touch(p, f, now);
		if (tuple_equal(&nat, &p->t))
			return PASS;
		return rewrite(skb, p, &nat, 0) ?: PASS;
	}
	if (p->ttl <= 1 || too_big(skb, oif))
		return along_by_kernel(skb, p, f, dir);
	count_flow_packet(skb, p, f, dir);
	if (!(flags & FLOW_TO_CONTAINER)) {
		known = hop_header(f, header, now);
		if (!known)
			hop_renew(skb, f);
	}
	flow_touch(p, f, now); /* may move it: f is not to be read any more */
	err = rewrite(skb, p, &nat, 1);
	if (err)
		return err;
	if (flags & FLOW_TO_CONTAINER)
		return to_container(skb, oif);
	if (!known)
		return bpf_redirect_neigh(oif, NULL, 0, 0);
	if (bpf_skb_store_bytes(skb, 0, header, sizeof(header), 0))
		return DROP(DROP_REWRITE);
	return bpf_redirect(oif, 0);
}

#endif
