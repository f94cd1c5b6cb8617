/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A container uses a published port of its own host. The server sees the
 * client's address, but another source port: with the same one it could not be
 * told from what the client sends the server directly, and neither could the
 * answers.
 */
#ifndef EBNET_HAIRPIN_H
#define EBNET_HAIRPIN_H

#include "publish.h"

/* Does this flow lead back to the sandbox that asks, by whichever network? */
static __always_inline bool to_itself(const struct endpoint *from, const struct flow *f)
{
	struct endpoint *to = endpoint_lookup(&f->nat.dst);

	return to && (to->slot == from->slot || (to->sandbox && to->sandbox == from->sandbox));
}

/*
 * A published port, asked for by a container. Its neighbour's answers are found
 * because the client's entry says that it hairpins. Where it comes back to
 * itself the gateway stands in for it: no host would believe a packet from its
 * own address.
 */
CHECKED_ALONE int publish_from_ctr(struct __sk_buff *skb, const struct pkt *p,
				   struct endpoint *from)
{
	struct port_search s = { .skb = skb, .p = p };
	struct endpoint *client;
	struct publish *pub;
	struct network *net;
	__u32 i;
	int err;

	if (!p || !from)
		return DROP(DROP_INVALID);
	pub = publish_lookup(&p->t.dst, p->t.dport, p->t.proto);
	if (!pub)
		return PASS;
	s.d = draft_begin(KIND_HAIRPIN, p);
	if (!s.d)
		return DROP(DROP_FLOW_TABLE);
	err = publish_flow(&s.d->first, pub, p);
	if (err)
		return err;
	s.d->first.iif = skb->ifindex;
	if (to_itself(from, &s.d->first)) {
		i = s.d->first.network;
		net = bpf_map_lookup_elem(&networks, &i);
		if (!net)
			return DROP(DROP_NO_ENDPOINT);
		s.d->first.nat.src = p->v6 ? net->gateway6 : net->gateway4;
	}
	client = endpoint_lookup(&p->t.src);
	if (client)
		client->flags |= ENDPOINT_HAIRPIN;
	from->flags |= ENDPOINT_HAIRPIN;
	s.d->back.iif = s.d->first.oif;
	s.d->back.oif = skb->ifindex;
	s.d->back.flags = FLOW_TO_CONTAINER;
	return publish_make(&s, false);
}

/*
 * A container that hairpins speaks to its neighbour directly, from the very port
 * that stands for it in a hairpin flow: the answers are for the one who spoke
 * last. A TCP connection that lives is not given up for that.
 */
static __noinline int direct_after_hairpin(const struct pkt *p)
{
	struct tuple answer;
	struct flow *f;

	tuple_reverse(&answer, &p->t);
	f = flow_lookup(&answer);
	if (!f || f->kind != KIND_HAIRPIN)
		return 0;
	if (flow_lives(f) && p->t.proto == IPPROTO_TCP && f->state & STATE_ESTABLISHED &&
	    !(f->state & STATE_CLOSING))
		return DROP(DROP_NO_PORT);
	flow_end(&answer, f);
	return 0;
}

#endif
