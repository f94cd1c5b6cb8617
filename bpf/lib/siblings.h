/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A sandbox on several networks answers by another one than it was asked by: a
 * UDP socket that is bound to no address takes that of the default route, and
 * a sandbox without routes for each of its addresses sends all by the default
 * route. The flow is there, under the address that was asked.
 */
#ifndef EBNET_SIBLINGS_H
#define EBNET_SIBLINGS_H

#include "output.h"

/* May this packet answer in the name of another address of its sandbox? */
static __always_inline bool may_answer_for(const struct pkt *p, const struct endpoint *from)
{
	if (!from->sandbox || !p->ported || p->fragment)
		return false;
	return p->t.proto == IPPROTO_UDP || !addr_equal(&p->t.src, &from->addr4);
}

/* The flow to a published port of that address which this packet answers. */
static __always_inline struct flow *answered_for(const struct pkt *p, const struct endpoint *from,
						 const struct addr *other)
{
	struct tuple t = p->t;
	struct flow *f;

	if (!addr_equal(&t.src, other) && !addr_equal(&t.src, &from->addr4))
		return NULL;
	t.src = *other;
	f = flow_lookup(&t);
	if (!f || !f->publish || f->flags & FLOW_INITIATOR || !flow_lives(f))
		return NULL;
	return f;
}

/* Sends an answer along the flow of one of its sandbox's other addresses. PASS: there is none. */
CHECKED_ALONE int answer_for_sibling(struct __sk_buff *skb, const struct pkt *p,
				     struct endpoint *from)
{
	struct sandbox *box;
	struct addr *other;
	struct flow *f;
	__u64 id;
	int i;

	if (!p || !from)
		return PASS;
	id = from->sandbox;
	box = bpf_map_lookup_elem(&sandboxes, &id);
	if (!box)
		return PASS;
	for (i = 0; i < MAX_SANDBOX_ADDRS; i++) {
		other = &box->addrs[i];
		if (addr_is_any(other))
			break;
		if (addr_equal(other, &from->addr4))
			continue;
		f = answered_for(p, from, other);
		if (f)
			return along(skb, p, f, DIR_EGRESS);
	}
	return PASS;
}

#endif
