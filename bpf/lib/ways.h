/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What each hook decides, one function a way; the order of the questions is the policy. */
#ifndef EBNET_WAYS_H
#define EBNET_WAYS_H

#include "hosts_own.h"
#include "icmp_error.h"
#include "siblings.h"

/* To a container of this host, by its own address. */
static __always_inline int ctr_to_ctr(struct __sk_buff *skb, const struct pkt *p,
				      const struct endpoint *from, const struct endpoint *to)
{
	__u32 i = to->network;
	struct network *net;
	int err;

	if (from->network != to->network)
		return DROP(DROP_ISOLATED);
	net = bpf_map_lookup_elem(&networks, &i);
	if (!net || net->flags & NETWORK_NO_ICC)
		return DROP(DROP_ISOLATED);
	if (net->flags & NETWORK_KERNEL_NAT) {
		count_endpoint(p, from->slot, DIR_EGRESS);
		return PASS;
	}
	if (from->flags & ENDPOINT_HAIRPIN && p->ported && may_open(p)) {
		err = direct_after_hairpin(p);
		if (err)
			return err;
	}
	count_path(p, i, DIR_EGRESS, PATH_FORWARD);
	count_endpoint(p, from->slot, DIR_EGRESS);
	count_endpoint(p, to->slot, DIR_INGRESS);
	return to_container(skb, to->ifindex);
}

/* To the host itself: a published port, or what the kernel carries over the bridge. */
static __always_inline int ctr_to_host(struct __sk_buff *skb, const struct pkt *p,
				       struct endpoint *from, bool group)
{
	__u32 i = from->network;
	struct network *net = bpf_map_lookup_elem(&networks, &i);
	int ret = PASS;

	if (!net)
		return DROP(DROP_NO_ENDPOINT);
	/* of the host, an internal network has its gateway, and that as it is */
	if (net->flags & NETWORK_INTERNAL) {
		if (!group && !addr_equal(&p->t.dst, p->v6 ? &net->gateway6 : &net->gateway4))
			return DROP(DROP_ISOLATED);
	} else if (!group && p->ported && may_open(p) && !is_icmp(p)) {
		ret = publish_from_ctr(skb, p, from);
	}
	if (ret == PASS)
		count_endpoint(p, from->slot, DIR_EGRESS);
	return ret;
}

/* To the outside, without a flow so far. */
static __always_inline int ctr_to_ext(struct __sk_buff *skb, const struct pkt *p,
				      const struct endpoint *from)
{
	__u32 i = from->network;
	struct network *net = bpf_map_lookup_elem(&networks, &i);

	if (!net || net->flags & NETWORK_INTERNAL)
		return DROP(DROP_ISOLATED);
	if (addr_is_any(&p->t.dst) || addr_is_loopback(&p->t.dst))
		return DROP(DROP_NO_ROUTE);
	if (IS_LATER(p) && !p->ported)
		return DROP(DROP_FRAGMENT);
	if (p->error)
		return DROP(DROP_NO_FLOW);
	if (!p->ported)
		return DROP(DROP_UNSUPPORTED);
	if (!may_open(p))
		return net->flags & NETWORK_KERNEL_NAT ? PASS : DROP(DROP_NO_FLOW);
	if (is_icmp(p) && !p->t.sport)
		return DROP(DROP_NO_FLOW); /* an echo reply that nobody asked for */
	return open_from_ctr(skb, p, from, net->flags & NETWORK_MASQUERADE);
}

/*
 * What IPv6 needs on a link, neighbour discovery above all (RFC 4861): to or from an
 * address of the link alone, and to groups. The bridge carries it.
 */
static __always_inline bool stays_on_link(const struct pkt *p)
{
	return addr_is_link_local6(&p->t.dst) || addr_is_multicast(&p->t.dst) ||
	       addr_is_link_local6(&p->t.src);
}

/* Multicast listeners and neighbour discovery, without which there is no IPv6. */
static __always_inline bool is_link_control(const struct pkt *p)
{
	return is_icmp(p) && p->icmp_type >= ICMPV6_MLD_QUERY && p->icmp_type <= ICMPV6_MLD2_REPORT;
}

/* What a router says: no container is one to its neighbours (CVE-2020-10749). */
static __always_inline bool is_router_speaking(const struct pkt *p)
{
	return is_icmp(p) &&
	       (p->icmp_type == ICMPV6_ROUTER_ADVERTISEMENT || p->icmp_type == ICMPV6_REDIRECT);
}

static __always_inline int ctr_to_link(const struct pkt *p, const struct endpoint *from)
{
	__u32 i = from->network;
	struct network *net = bpf_map_lookup_elem(&networks, &i);
	bool own = addr_equal(&p->t.src, &from->addr6) || addr_is_link_local6(&p->t.src) ||
		   addr_is_any(&p->t.src); /* that of one that has none yet */

	if (!net)
		return DROP(DROP_NO_ENDPOINT);
	if (!own || is_router_speaking(p))
		return DROP(DROP_SOURCE);
	if (net->flags & NETWORK_NO_ICC && !is_link_control(p))
		return DROP(DROP_ISOLATED);
	count_endpoint(p, from->slot, DIR_EGRESS);
	return PASS;
}

/* A container sends what no flow carries. */
static __always_inline int from_ctr_new(struct __sk_buff *skb, const struct pkt *p,
					const struct endpoint *to)
{
	__u32 ifindex = skb->ifindex;
	struct endpoint *from = bpf_map_lookup_elem(&devices, &ifindex);
	struct flow *f;
	__u32 *flags;
	int ret;

	if (!from)
		return DROP(DROP_NO_ENDPOINT);
	if ((!to || to->flags & ENDPOINT_HAIRPIN) && may_answer_for(p, from)) {
		f = sibling_flow(p, from);
		if (f)
			return along(skb, p, f, DIR_EGRESS);
	}
	if (p->v6 && stays_on_link(p))
		return ctr_to_link(p, from);
	if (!addr_equal(&p->t.src, own_addr(p, from)))
		return DROP(DROP_SOURCE);
	if (p->error && (!to || to->flags & ENDPOINT_HAIRPIN)) {
		ret = error_along(skb, p, DIR_EGRESS);
		if (ret != PASS)
			return ret;
	}
	if (to)
		return ctr_to_ctr(skb, p, from, to);
	if (addr_is_multicast(&p->t.dst))
		return ctr_to_host(skb, p, from, true);
	flags = bpf_map_lookup_elem(&host_addrs, &p->t.dst);
	if (flags)
		return ctr_to_host(skb, p, from, *flags & HOST_ADDR_BROADCAST);
	return ctr_to_ext(skb, p, from);
}

/* The outside sends what no flow carries. */
static __always_inline int from_ext_new(struct __sk_buff *skb, const struct pkt *p)
{
	__u32 *flags;
	int ret;

	if (p->error) {
		ret = error_along(skb, p, DIR_INGRESS);
		if (ret != PASS)
			return ret;
	}
	flags = bpf_map_lookup_elem(&host_addrs, &p->t.dst);
	if (!flags)
		return endpoint_lookup(&p->t.dst) ? DROP(DROP_DIRECT) : PASS;
	if (*flags & HOST_ADDR_BROADCAST || !p->ported || !may_open(p) || is_icmp(p))
		return PASS;
	return publish_from_ext(skb, p);
}

/* The host itself sends what no flow carries. */
static __always_inline int to_ext_new(struct __sk_buff *skb, const struct pkt *p)
{
	if (!p->ported || !may_open(p))
		return PASS;
	if (is_icmp(p) && !is_echo_request(p))
		return PASS;
	return host_opens(skb, p);
}

/*
 * The host gets a packet from a network's bridge. What a container sends has been
 * decided on before, so who asks the host to forward has no program.
 */
static __always_inline int from_bridge(const struct pkt *p)
{
	if (addr_is_multicast(&p->t.dst) || (p->v6 && addr_is_link_local6(&p->t.dst)) ||
	    bpf_map_lookup_elem(&host_addrs, &p->t.dst))
		return PASS;
	return DROP(DROP_LEAK);
}

/*
 * The host forwards a packet into a network, by a device that is no uplink. What
 * containers are to get crosses into them without its help.
 */
static __always_inline int to_bridge(struct __sk_buff *skb, const struct pkt *p)
{
	if (was_handed_over(skb))
		return PASS;
	return endpoint_lookup(&p->t.dst) ? DROP(DROP_DIRECT) : PASS;
}

/* Is the source one that this device's container may use, as far as it can be told so early? */
static __always_inline bool sends_as(struct __sk_buff *skb, const struct pkt *p)
{
	__u32 ifindex = skb->ifindex;
	struct endpoint *from = bpf_map_lookup_elem(&devices, &ifindex);

	return from && (from->sandbox || addr_equal(&p->t.src, own_addr(p, from)));
}

/* A container sends. */
static __always_inline int from_ctr(struct __sk_buff *skb, struct pkt *p)
{
	struct endpoint *to = endpoint_lookup(&p->t.dst);
	struct flow *f = NULL;
	int ret;

	/* Neighbours need no flow, unless one has called the other by a published port. */
	if (!to || to->flags & ENDPOINT_HAIRPIN) {
		if (p->frag && !p->portless && sends_as(skb, p) &&
		    fragment(skb, p, DIR_EGRESS) != PARSED)
			return CONSUMED;
		f = flow_find(skb, p, HOOK_CTR);
	}
	if (!f) {
		ret = from_ctr_new(skb, p, to);
		if (ret != MADE)
			return ret;
		f = flow_lookup(&p->t);
	}
	return along(skb, p, f, DIR_EGRESS);
}

/* The outside sends. */
static __always_inline int from_ext(struct __sk_buff *skb, struct pkt *p)
{
	struct flow *f;
	int ret;

	if (p->frag && !p->portless &&
	    (bpf_map_lookup_elem(&host_addrs, &p->t.dst) || endpoint_lookup(&p->t.dst)) &&
	    fragment(skb, p, DIR_INGRESS) != PARSED)
		return CONSUMED;
	f = flow_find(skb, p, HOOK_EXT);
	if (!f) {
		ret = from_ext_new(skb, p);
		if (ret != MADE)
			return ret;
		f = flow_lookup(&p->t);
	}
	return along(skb, p, f, DIR_INGRESS);
}

/*
 * The kernel forwards to the outside what a container's flow has handed to it, whole or in
 * fragments.
 */
CHECKED_ALONE int forwarded(struct __sk_buff *skb, struct pkt *p)
{
	struct tuple nat;
	struct flow *f;

	if (!p)
		return DROP(DROP_LEAK);
	if (p->frag && !p->portless)
		fragment_made(p);
	f = p->ported ? flow_lookup(&p->t) : NULL;
	if (!f || !flow_lives(f) || f->flags & (FLOW_TO_CONTAINER | FLOW_TO_HOST) ||
	    f->state & STATE_OVER)
		return DROP(DROP_LEAK);
	nat = f->nat;
	flow_touch(p, f, now_ticks());
	return rewrite(skb, p, &nat, 0) ?: PASS;
}

/* The host itself sends to the outside. */
static __always_inline int to_ext(struct __sk_buff *skb, struct pkt *p)
{
	struct flow *f;
	int ret;

	if (p->error)
		return error_made(skb, p);
	f = flow_find(skb, p, HOOK_HOST);
	if (!f) {
		ret = to_ext_new(skb, p);
		if (ret != MADE)
			return ret;
		f = flow_lookup(&p->t);
	}
	return along(skb, p, f, DIR_EGRESS);
}

#endif
