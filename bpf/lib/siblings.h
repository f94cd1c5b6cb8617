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
	if (!from->sandbox || !p->ported)
		return false;
	return p->t.proto == IPPROTO_UDP || !addr_equal(&p->t.src, own_addr(p, from));
}

/* Is this, in the name of that address, the key of a flow to a published port of it? */
static __always_inline bool answered_for(const struct pkt *p, const struct endpoint *from,
					 const struct addr *other, const struct tuple *key)
{
	struct flow *f;

	if (!addr_equal(&p->t.src, other) && !addr_equal(&p->t.src, own_addr(p, from)))
		return false;
	f = flow_lookup(key);
	return f && f->publish && !(f->flags & FLOW_INITIATOR) && flow_lives(f);
}

/*
 * Does this packet answer for another address of its sandbox? Then the key of the flow
 * that it takes is left in this CPU's draft: no stack has room for it.
 */
CHECKED_ALONE bool answers_for_sibling(const struct pkt *p, const struct endpoint *from)
{
	struct draft *d;
	struct sandbox *box;
	struct addr *other;
	__u32 zero = 0;
	__u64 id;
	int i;

	if (!p || !from)
		return false;
	id = from->sandbox;
	box = bpf_map_lookup_elem(&sandboxes, &id);
	d = bpf_map_lookup_elem(&drafts, &zero);
	if (!box || !d)
		return false;
	d->answer = p->t;
	for (i = 0; i < MAX_SANDBOX_ADDRS; i++) {
		other = &box->addrs[i];
		if (addr_is_any(other))
			break;
		if (addr_is_v4(other) == p->v6 || addr_equal(other, own_addr(p, from)))
			continue;
		d->answer.src = *other;
		if (answered_for(p, from, other, &d->answer))
			return true;
	}
	return false;
}

static __always_inline struct flow *sibling_flow(const struct pkt *p, const struct endpoint *from)
{
	__u32 zero = 0;
	struct draft *d = bpf_map_lookup_elem(&drafts, &zero);

	return d && answers_for_sibling(p, from) ? flow_lookup(&d->answer) : NULL;
}

#endif
