/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Addresses of both families in one type, and tuples of them. */
#ifndef EBNET_ADDR_H
#define EBNET_ADDR_H

#include <bpf/bpf_endian.h>

#include "types.h"

#define V4_MAPPED bpf_htonl(0x0000ffff)

static __always_inline struct addr addr_v4(__be32 ip)
{
	return (struct addr){ .w = { 0, 0, V4_MAPPED, ip } };
}

static __always_inline bool addr_is_v4(const struct addr *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == V4_MAPPED;
}

static __always_inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* 127.0.0.0/8 or ::1. */
static __always_inline bool addr_is_loopback(const struct addr *a)
{
	if (addr_is_v4(a))
		return (a->w[3] & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
	return !a->w[0] && !a->w[1] && !a->w[2] && a->w[3] == bpf_htonl(1);
}

/* 0.0.0.0 or ::, to which connect() means "this host". */
static __always_inline bool addr_is_any(const struct addr *a)
{
	return !a->w[0] && !a->w[1] && (!a->w[2] || a->w[2] == V4_MAPPED) && !a->w[3];
}

/* fe80::/10: of one link, and never routed. */
static __always_inline bool addr_is_link_local6(const struct addr *a)
{
	return (a->w[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* The unspecified address of the same family. */
static __always_inline struct addr addr_any_like(const struct addr *a)
{
	return (struct addr){ .w = { 0, 0, addr_is_v4(a) ? V4_MAPPED : 0, 0 } };
}

/* 224.0.0.0/4 and 255.255.255.255, or ff00::/8. */
static __always_inline bool addr_is_multicast(const struct addr *a)
{
	if (addr_is_v4(a))
		return a->w[3] == 0xffffffff ||
		       (a->w[3] & bpf_htonl(0xf0000000)) == bpf_htonl(0xe0000000);
	return (a->w[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

static __always_inline bool tuple_equal(const struct tuple *a, const struct tuple *b)
{
	return addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst) &&
	       a->sport == b->sport && a->dport == b->dport && a->proto == b->proto;
}

/* Is the one the tuple of the other's answer? */
static __always_inline bool tuple_mirrors(const struct tuple *a, const struct tuple *b)
{
	return addr_equal(&a->src, &b->dst) && addr_equal(&a->dst, &b->src) &&
	       a->sport == b->dport && a->dport == b->sport && a->proto == b->proto;
}

/* The tuple of the answer. */
static __always_inline void tuple_reverse(struct tuple *to, const struct tuple *from)
{
	to->src = from->dst;
	to->dst = from->src;
	to->sport = from->dport;
	to->dport = from->sport;
	to->proto = from->proto;
	to->pad[0] = to->pad[1] = to->pad[2] = 0;
}

#endif
