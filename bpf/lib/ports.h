/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who holds a port, and the search for a free one. */
#ifndef EBNET_PORTS_H
#define EBNET_PORTS_H

#include "endpoint.h"
#include "output.h"

#define NETNS_CURRENT (-1)

/*
 * Ports that stand for a client's own where two of its connections would look
 * alike to a published port's container. Clients seldom choose these themselves.
 */
#define STAND_IN_MIN 61000
#define STAND_IN_COUNT (65536 - STAND_IN_MIN)

/* Whose a host port is: the address itself is asked before the wildcard. */
static __always_inline struct publish *publish_of(const struct addr *addr, __be16 port, __u8 proto)
{
	struct publish_key key = { .addr = *addr, .port = port, .proto = proto };
	struct publish *pub = bpf_map_lookup_elem(&publishes, &key);

	if (pub)
		return pub;
	key.addr = addr_any_like(addr);
	return bpf_map_lookup_elem(&publishes, &key);
}

/*
 * Whose a port is that a process of the host names: "this host" in IPv6 is that in IPv4,
 * too, where no IPv6 port is published.
 */
static __always_inline struct publish *publish_named(const struct addr *a, __be16 port, __u8 proto)
{
	struct publish *pub = publish_of(a, port, proto);
	struct addr any4 = addr_v4(0);

	if (pub || addr_is_v4(a) || !(addr_is_loopback(a) || addr_is_any(a)))
		return pub;
	return publish_of(&any4, port, proto);
}

/* How many publishes reserve a port, on whatever address. */
static __always_inline __u32 reservations(__be16 port, __u8 proto)
{
	__u32 i = bpf_ntohs(port), *n;

	if (proto == IPPROTO_UDP)
		i += 65536;
	else if (proto == IPPROTO_SCTP)
		i += 2 * 65536;
	else if (proto != IPPROTO_TCP)
		return 0;
	n = bpf_map_lookup_elem(&reserved, &i);
	return n ? *n : 0;
}

/*
 * Does ebnet keep this port from sockets, on this address or where the address is any, on
 * some address? ::1 belongs to the IPv4 wildcard, because connect() treats it so.
 */
static __always_inline bool port_is_reserved(const struct addr *a, __be16 port, __u8 proto)
{
	struct publish *pub;

	if (!reservations(port, proto))
		return false;
	if (addr_is_any(a))
		return true;
	pub = publish_named(a, port, proto);
	return pub && !(pub->flags & PUBLISH_HELD);
}

/* What a host port leads to. One that is kept for a container which does not run leads nowhere. */
static __always_inline struct publish *publish_lookup(const struct addr *addr, __be16 port,
						      __u8 proto)
{
	struct publish *pub = publish_of(addr, port, proto);

	return pub && !addr_is_any(&pub->addr) ? pub : NULL;
}

/*
 * Does a socket of the host own this outside tuple, or listen on its port? The
 * host's packets are never a container's, whoever came first.
 */
static __always_inline bool host_owns(struct __sk_buff *skb, const struct tuple *answer)
{
	struct bpf_sock_tuple t = {};
	__u32 size = sizeof(t.ipv4);
	struct bpf_sock *sk;

	if (addr_is_v4(&answer->dst)) {
		t.ipv4.saddr = answer->src.w[3];
		t.ipv4.daddr = answer->dst.w[3];
		t.ipv4.sport = answer->sport;
		t.ipv4.dport = answer->dport;
	} else {
		__builtin_memcpy(t.ipv6.saddr, &answer->src, sizeof(answer->src));
		__builtin_memcpy(t.ipv6.daddr, &answer->dst, sizeof(answer->dst));
		t.ipv6.sport = answer->sport;
		t.ipv6.dport = answer->dport;
		size = sizeof(t.ipv6);
	}
	if (answer->proto == IPPROTO_TCP)
		sk = bpf_skc_lookup_tcp(skb, &t, size, NETNS_CURRENT, 0);
	else if (answer->proto == IPPROTO_UDP)
		sk = bpf_sk_lookup_udp(skb, &t, size, NETNS_CURRENT, 0);
	else
		return false;
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/*
 * May the draft's flow have the outside tuple that it names? A port that an engine's socket
 * holds is the host's.
 */
static __always_inline bool tuple_free(struct __sk_buff *skb, const struct pkt *p, struct draft *d)
{
	const struct tuple *nat = &d->first.nat;

	tuple_reverse(&d->answer, nat);
	if (tuple_taken(p, &d->answer))
		return false;
	if (port_is_reserved(&nat->src, nat->sport, nat->proto))
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
	if (!tuple_free(s->skb, s->p, s->d))
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

/* What flow_make() has come to, at the end. */
static __always_inline int made(long err)
{
	if (err == -EEXIST)
		return DROP(DROP_NO_PORT);
	return err && err != -EALREADY ? DROP(DROP_FLOW_TABLE) : MADE;
}

#endif
