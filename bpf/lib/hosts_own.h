/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The host's own flows where they meet those of containers: a new one over the
 * outside tuple of a container's leaves from another port, as the kernel's own
 * NAT does it, and an echo's identifier is noted, because no socket look-up
 * would tell. Of a protocol without ports the host's flow ends a container's.
 */
#ifndef EBNET_HOSTS_OWN_H
#define EBNET_HOSTS_OWN_H

#include "hairpin.h"
#include "masq.h"

static __always_inline bool is_echo_request(const struct pkt *p)
{
	return is_icmp(p) && p->t.sport;
}

/* A new flow of the host's own towards an uplink. */
CHECKED_ALONE int host_opens(struct __sk_buff *skb, const struct pkt *p)
{
	struct tuple answer;
	struct draft *d;
	struct flow *f;
	bool taken;

	if (!p)
		return PASS;
	tuple_reverse(&answer, &p->t);
	taken = tuple_taken(p, &answer);
	if (taken && p->portless) {
		f = flow_lookup(&answer);
		if (f)
			flow_end(&answer, f);
		taken = false;
	} else if (!taken && !p->portless && !is_echo_request(p)) {
		return PASS;
	}
	d = draft_begin(KIND_HOST, p);
	if (!d)
		return PASS;
	d->first.flags = d->back.flags = FLOW_TO_HOST;
	if (taken)
		return masq_make(skb, p, d);
	flow_make(p, d); /* only a note: the packet is fine without */
	return PASS;
}

#endif
