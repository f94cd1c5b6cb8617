/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Masquerade: a container's packets leave with the host's address. */
#ifndef EBNET_MASQ_H
#define EBNET_MASQ_H

#include "publish.h"

#define NETNS_CURRENT (-1)
#define PRIVILEGED_PORTS 1024

/*
 * Does a socket of the host own this outside tuple, or listen on its port? The
 * host's packets are never a container's, whoever came first.
 */
static __always_inline bool host_owns(struct __sk_buff *skb, const struct tuple *answer)
{
	struct bpf_sock_tuple t = {
		.ipv4 = {
			.saddr = answer->src.w[3],
			.daddr = answer->dst.w[3],
			.sport = answer->sport,
			.dport = answer->dport,
		},
	};
	struct bpf_sock *sk;

	if (answer->proto == IPPROTO_TCP)
		sk = bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), NETNS_CURRENT, 0);
	else if (answer->proto == IPPROTO_UDP)
		sk = bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv4), NETNS_CURRENT, 0);
	else
		return false;
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/* May the draft's flow have the outside tuple that it names? */
static __always_inline bool tuple_free(struct __sk_buff *skb, struct draft *d)
{
	const struct tuple *nat = &d->first.nat;

	tuple_reverse(&d->answer, nat);
	if (tuple_taken(&d->answer))
		return false;
	if (publish_lookup(&nat->src, nat->sport, nat->proto))
		return false;
	return !host_owns(skb, &d->answer);
}

/* A search for an outside port. */
struct port_search {
	struct __sk_buff *skb;
	const struct pkt *p;
	struct draft *d;
	__u32 first; /* host order: these ports ... */
	__u32 count;
	__u32 start; /* ... beginning with the start-th */
	long err; /* 0: made */
};

/* Tries one port; 1 ends the search. */
static long try_port(__u32 i, void *arg)
{
	struct port_search *s = arg;
	__u32 nth = s->start + i;

	if (nth >= s->count)
		nth -= s->count;
	s->d->first.nat.sport = bpf_htons(s->first + nth);
	if (!tuple_free(s->skb, s->d))
		return 0;
	s->err = flow_make(s->p, s->d);
	return s->err != -EEXIST;
}

/* Makes the draft's flow with any free port of the range. */
static __always_inline void search_ports(struct port_search *s)
{
	s->err = -EEXIST;
	if (!s->count)
		return;
	s->start = bpf_get_prandom_u32() % s->count;
	bpf_loop(s->count, try_port, s, 0);
}

/* The ports to choose from: below 1024 stays below (RFC 4787 REQ-3a). */
static __always_inline void masq_range(struct port_search *s)
{
	struct settings *cfg;
	__u32 zero = 0;

	cfg = bpf_map_lookup_elem(&config, &zero);
	if (!cfg || cfg->port_max < cfg->port_min)
		return;
	s->first = cfg->port_min;
	s->count = cfg->port_max - cfg->port_min + 1;
	if (s->p->t.proto == IPPROTO_ICMP)
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

/* What a search has come to. */
static __always_inline int searched(const struct port_search *s)
{
	if (s->err == -EEXIST)
		return DROP(DROP_NO_PORT);
	return s->err && s->err != -EALREADY ? DROP(DROP_FLOW_TABLE) : MADE;
}

/* Chooses the outside port, the sender's own where it is free, and makes the flow. */
static __always_inline int masq_make(struct __sk_buff *skb, const struct pkt *p, struct draft *d)
{
	struct port_search s = { .skb = skb, .p = p, .d = d, .err = -EEXIST };

	if (tuple_free(skb, d))
		s.err = flow_make(p, d);
	if (s.err == -EEXIST) {
		masq_range(&s);
		search_ports(&s);
	}
	if (s.err == -EEXIST)
		count_no_port(p->t.proto);
	return searched(&s);
}

/* A new flow from a container to the outside. */
static __noinline int masq_from_ctr(struct __sk_buff *skb, const struct pkt *p,
				    const struct endpoint *from)
{
	struct draft *d = draft_begin(KIND_MASQ, p);
	struct route rt = {};
	int err;

	if (!d)
		return DROP(DROP_FLOW_TABLE);
	if (p->ttl <= 1)
		return DROP(DROP_TTL);
	err = find_route(skb, p, &rt);
	if (err)
		return err;
	d->first.nat.src = rt.src;
	d->first.iif = skb->ifindex;
	d->first.oif = rt.oif;
	d->first.endpoint = from->slot;
	d->first.endpoint_gen = from->gen;
	d->first.network = from->network;
	d->back.oif = skb->ifindex;
	d->back.flags = FLOW_TO_CONTAINER;
	return masq_make(skb, p, d);
}

#endif
