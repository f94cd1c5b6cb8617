/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What each hook decides, one function a way; the order of the questions is the policy. */
#ifndef EBNET_WAYS_H
#define EBNET_WAYS_H

#include "hosts_own.h"
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
		if (!group && !addr_equal(&p->t.dst, &net->gateway4))
			return DROP(DROP_ISOLATED);
	} else if (!group && p->ported && !p->fragment && may_open(p) &&
		   p->t.proto != IPPROTO_ICMP) {
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
	if (p->fragment)
		return DROP(DROP_FRAGMENT);
	if (!p->ported)
		return DROP(DROP_UNSUPPORTED);
	if (!may_open(p))
		return net->flags & NETWORK_KERNEL_NAT ? PASS : DROP(DROP_NO_FLOW);
	if (p->t.proto == IPPROTO_ICMP && !p->t.sport)
		return DROP(DROP_NO_FLOW); /* an echo reply that nobody asked for */
	return open_from_ctr(skb, p, from, net->flags & NETWORK_MASQUERADE);
}

/* A container sends what no flow carries. */
static __always_inline int from_ctr_new(struct __sk_buff *skb, const struct pkt *p,
					const struct endpoint *to)
{
	__u32 ifindex = skb->ifindex;
	struct endpoint *from = bpf_map_lookup_elem(&devices, &ifindex);
	__u32 *flags;
	int ret;

	if (!from)
		return DROP(DROP_NO_ENDPOINT);
	if ((!to || to->flags & ENDPOINT_HAIRPIN) && may_answer_for(p, from)) {
		ret = answer_for_sibling(skb, p, from);
		if (ret != PASS)
			return ret;
	}
	if (!addr_equal(&p->t.src, &from->addr4))
		return DROP(DROP_SOURCE);
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
	__u32 *flags = bpf_map_lookup_elem(&host_addrs, &p->t.dst);

	if (!flags)
		return endpoint_lookup(&p->t.dst) ? DROP(DROP_DIRECT) : PASS;
	if (*flags & HOST_ADDR_BROADCAST || !p->ported || p->fragment || !may_open(p) ||
	    p->t.proto == IPPROTO_ICMP)
		return PASS;
	return publish_from_ext(skb, p);
}

/* The host itself sends what no flow carries. */
static __always_inline int to_ext_new(struct __sk_buff *skb, const struct pkt *p)
{
	if (!p->ported || p->fragment || !may_open(p))
		return PASS;
	if (p->t.proto == IPPROTO_ICMP && !is_echo_request(p))
		return PASS;
	return host_opens(skb, p);
}

/*
 * The host gets a packet from a network's bridge. What a container sends has been
 * decided on before, so who asks the host to forward has no program.
 */
static __always_inline int from_bridge(const struct pkt *p)
{
	if (addr_is_multicast(&p->t.dst) || bpf_map_lookup_elem(&host_addrs, &p->t.dst))
		return PASS;
	return DROP(DROP_LEAK);
}

/*
 * The host forwards a packet into a network, by a device that is no uplink. What
 * containers are to get crosses into them without its help.
 */
static __always_inline int to_bridge(const struct pkt *p)
{
	return endpoint_lookup(&p->t.dst) ? DROP(DROP_DIRECT) : PASS;
}

/* A container sends. */
static __always_inline int from_ctr(struct __sk_buff *skb, struct pkt *p)
{
	struct endpoint *to = endpoint_lookup(&p->t.dst);
	struct flow *f = NULL;
	int ret;

	/* Neighbours need no flow, unless one has called the other by a published port. */
	if (!to || to->flags & ENDPOINT_HAIRPIN)
		f = flow_find(skb, p);
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
	struct flow *f = flow_find(skb, p);
	int ret;

	if (!f) {
		ret = from_ext_new(skb, p);
		if (ret != MADE)
			return ret;
		f = flow_lookup(&p->t);
	}
	return along(skb, p, f, DIR_INGRESS);
}

/* The host itself sends to the outside. */
static __always_inline int to_ext(struct __sk_buff *skb, struct pkt *p)
{
	struct flow *f = flow_find(skb, p);
	int ret;

	if (!f) {
		ret = to_ext_new(skb, p);
		if (ret != MADE)
			return ret;
		f = flow_lookup(&p->t);
	} else if (f->kind != KIND_HOST) {
		return PASS;
	}
	return along(skb, p, f, DIR_EGRESS);
}

#endif
