/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Masquerade: a container's packets leave with the host's address. */
#ifndef EBNET_MASQ_H
#define EBNET_MASQ_H

#include "ports.h"

#define PRIVILEGED_PORTS 1024

/* The ports to choose from: below 1024 stays below (RFC 4787 REQ-3a). */
static __always_inline void masq_range(struct port_search *s)
{
	struct settings *cfg = settings_get();

	if (!cfg || cfg->port_max < cfg->port_min)
		return;
	s->first = cfg->port_min;
	s->count = cfg->port_max - cfg->port_min + 1;
	if (is_icmp(s->p))
		return;
	if (bpf_ntohs(s->p->t.sport) < PRIVILEGED_PORTS && cfg->port_min == PRIVILEGED_PORTS) {
		s->first = 1;
		s->count = PRIVILEGED_PORTS - 1;
	}
}

static __always_inline void count_no_port(__u8 proto)
{
	count_event(proto == IPPROTO_TCP   ? EVENT_MASQ_PORT_TCP
		    : proto == IPPROTO_UDP ? EVENT_MASQ_PORT_UDP
					   : EVENT_MASQ_PORT_ICMP);
}

/* Chooses the outside port, the sender's own where it is free, and makes the flow. */
static __always_inline int masq_make(struct __sk_buff *skb, const struct pkt *p, struct draft *d)
{
	struct port_search s = { .skb = skb, .p = p, .d = d, .err = -EEXIST };

	if (tuple_free(skb, p, d))
		s.err = flow_make(p, d);
	if (s.err == -EEXIST && !p->portless) {
		masq_range(&s);
		search_ports(&s);
		if (s.err == -EEXIST)
			count_no_port(p->t.proto);
	}
	return made(s.err);
}

/*
 * A network without masquerade: the packet keeps its container's address. Its
 * flow is what lets the answers in, and only them.
 */
static __always_inline int forward_make(const struct pkt *p, struct draft *d)
{
	tuple_reverse(&d->answer, &d->first.nat);
	if (tuple_taken(p, &d->answer))
		return DROP(DROP_NO_PORT);
	return made(flow_make(p, d));
}

/* A new flow from a container to the outside. */
CHECKED_ALONE int open_from_ctr(struct __sk_buff *skb, const struct pkt *p,
				const struct endpoint *from, bool masquerade)
{
	struct route rt = {};
	struct draft *d;
	int err;

	if (!p || !from)
		return DROP(DROP_INVALID);
	d = draft_begin(masquerade ? KIND_MASQ : KIND_FORWARD, p);
	if (!d)
		return DROP(DROP_FLOW_TABLE);
	if (p->ttl <= 1)
		return expired(skb, p, DIR_EGRESS);
	err = find_route(skb, p, &rt);
	if (err)
		return err;
	d->first.iif = skb->ifindex;
	d->first.oif = rt.oif;
	d->first.hop = rt.hop;
	d->first.endpoint = from->slot;
	d->first.endpoint_gen = from->gen;
	d->first.network = from->network;
	d->back.oif = skb->ifindex;
	d->back.flags = FLOW_TO_CONTAINER;
	if (!masquerade)
		return forward_make(p, d);
	d->first.nat.src = rt.src;
	return masq_make(skb, p, d);
}

#endif
