/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Published ports, and who comes to them from outside. */
#ifndef EBNET_PUBLISH_H
#define EBNET_PUBLISH_H

#include "output.h"

/* What a host port leads to: the address itself is asked before the wildcard. */
static __always_inline struct publish *publish_lookup(const struct addr *addr, __be16 port,
						      __u8 proto)
{
	struct publish_key key = { .addr = *addr, .port = port, .proto = proto };
	struct publish *pub = bpf_map_lookup_elem(&publishes, &key);

	if (pub)
		return pub;
	key.addr = addr_v4(0);
	return bpf_map_lookup_elem(&publishes, &key);
}

/* Fills what a flow to a publish's container has on both halves. */
static __always_inline int publish_flow(struct flow *f, const struct publish *pub,
					const struct pkt *p)
{
	__u32 slot = pub->slot;
	struct publish_slot *life = bpf_map_lookup_elem(&publish_slots, &slot);
	struct endpoint *ep = bpf_map_lookup_elem(&endpoints, &pub->addr);

	if (!ep || !life)
		return DROP(DROP_NO_ENDPOINT);
	f->nat = p->t;
	f->nat.dst = pub->addr;
	f->nat.dport = pub->port;
	f->oif = ep->ifindex;
	f->endpoint = ep->slot;
	f->endpoint_gen = ep->gen;
	f->network = ep->network;
	f->publish = slot;
	f->publish_gen = life->gen;
	f->flags = FLOW_TO_CONTAINER;
	return 0;
}

/* Room for the answer's key: another flow's is respected, what is left of this one goes. */
static __always_inline bool publish_claims(const struct pkt *p, struct draft *d)
{
	struct flow *held;

	tuple_reverse(&d->answer, &d->first.nat);
	held = flow_lookup(&d->answer);
	if (!held)
		return true;
	tuple_reverse(&d->back.nat, &held->nat);
	if (!tuple_equal(&d->back.nat, &p->t) && flow_lives(held))
		return false;
	flow_end(&d->answer, held);
	return true;
}

static __always_inline void count_publish(__u32 slot)
{
	struct publish_slot *life = bpf_map_lookup_elem(&publish_slots, &slot);

	if (life)
		__sync_fetch_and_add(&life->flows, 1);
}

/* Makes a published port's flow. */
static __always_inline int publish_make(const struct pkt *p, struct draft *d)
{
	long err;

	if (p->ttl <= 1)
		return DROP(DROP_TTL);
	if (!publish_claims(p, d))
		return DROP(DROP_NO_PORT);
	err = flow_make(p, d);
	if (err && err != -EALREADY)
		return DROP(DROP_FLOW_TABLE);
	if (!err)
		count_publish(d->first.publish);
	return MADE;
}

/* A new flow from outside to a published port. Returns PASS where there is none. */
static __noinline int publish_from_ext(struct __sk_buff *skb, const struct pkt *p)
{
	struct publish *pub = publish_lookup(&p->t.dst, p->t.dport, p->t.proto);
	struct draft *d;
	int err;

	if (!pub)
		return PASS;
	d = draft_begin(KIND_PUBLISH, p);
	if (!d)
		return DROP(DROP_FLOW_TABLE);
	err = publish_flow(&d->first, pub, p);
	if (err)
		return err;
	d->back.iif = d->first.oif;
	d->back.oif = skb->ifindex;
	return publish_make(p, d);
}

#endif
