/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Published ports, and who comes to them from outside. */
#ifndef EBNET_PUBLISH_H
#define EBNET_PUBLISH_H

#include "ports.h"

/* May this source connect? The list is that of the publish at this moment. */
static __always_inline bool source_allowed(__u32 list, const struct addr *src)
{
	struct prefix_key key = {
		.bits = 160,
		.list = bpf_htonl(list << 1 | addr_is_v4(src)),
		.addr = *src,
	};

	return !list || bpf_map_lookup_elem(&prefixes, &key);
}

/* Fills what a flow to a publish's container has on both halves. */
static __always_inline int publish_flow(struct flow *f, const struct publish *pub,
					const struct pkt *p)
{
	__u32 slot = pub->slot;
	struct publish_slot *life = bpf_map_lookup_elem(&publish_slots, &slot);
	struct endpoint *ep = endpoint_lookup(&pub->addr);

	if (!ep || !life)
		return DROP(DROP_NO_ENDPOINT);
	if (!source_allowed(life->list, &p->t.src))
		return DROP(DROP_NOT_ALLOWED);
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
	if (tuple_mirrors(&held->nat, &p->t)) {
		if (p->reopens)
			return true;
	} else if (flow_lives(held)) {
		return false;
	}
	flow_end(&d->answer, held);
	return true;
}

static __always_inline void count_publish(__u32 slot)
{
	__u64 *n = bpf_map_lookup_elem(&publish_flows, &slot);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/*
 * Makes a published port's flow. The client keeps its port where it may, and
 * where its connections by two host ports do not look alike to the container.
 */
static __always_inline int publish_make(struct port_search *s, bool keep_port)
{
	s->err = -EEXIST;
	if (keep_port && publish_claims(s->p, s->d))
		s->err = flow_make(s->p, s->d);
	if (s->err == -EEXIST) {
		s->first = STAND_IN_MIN;
		s->count = STAND_IN_COUNT;
		search_ports(s);
	}
	if (!s->err)
		count_publish(s->d->first.publish);
	return made(s->err);
}

/*
 * A source that nobody outside has: loopback, any, multicast, the host's own
 * addresses and those of its containers.
 */
static __always_inline bool source_is_martian(const struct addr *src)
{
	return addr_is_loopback(src) || addr_is_any(src) || addr_is_multicast(src) ||
	       bpf_map_lookup_elem(&host_addrs, src) || endpoint_lookup(src);
}

/* A new flow from outside to a published port. Returns PASS where there is none. */
CHECKED_ALONE int publish_from_ext(struct __sk_buff *skb, const struct pkt *p)
{
	struct port_search s = { .skb = skb, .p = p };
	struct publish *pub;
	int err;

	if (!p)
		return DROP(DROP_INVALID);
	pub = publish_lookup(&p->t.dst, p->t.dport, p->t.proto);
	if (!pub)
		return PASS;
	if (source_is_martian(&p->t.src))
		return DROP(DROP_SOURCE);
	s.d = draft_begin(KIND_PUBLISH, p);
	if (!s.d)
		return DROP(DROP_FLOW_TABLE);
	err = publish_flow(&s.d->first, pub, p);
	if (err)
		return err;
	s.d->back.iif = s.d->first.oif;
	s.d->back.oif = skb->ifindex;
	return publish_make(&s, true);
}

#endif
