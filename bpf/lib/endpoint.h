/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Whose an address is. Most packets have an end outside, and a bit in the first
 * level cache says so for less than a look-up in a hash table.
 */
#ifndef EBNET_ENDPOINT_H
#define EBNET_ENDPOINT_H

#include "maps.h"
#include "packet.h"

/* Of what differs in a subnet. The agent has the same function: datapath/endpointbits.go. */
static __always_inline __u32 endpoint_hash(const struct addr *a)
{
	__u32 h = a->w[2] ^ a->w[3];

	return (h ^ h >> 16) & 0xffff;
}

/* An endpoint's address of a packet's family. */
static __always_inline const struct addr *own_addr(const struct pkt *p, const struct endpoint *ep)
{
	return p->v6 ? &ep->addr6 : &ep->addr4;
}

static __always_inline struct endpoint *endpoint_lookup(const struct addr *a)
{
	__u32 zero = 0, h = endpoint_hash(a);
	struct address_set *some = bpf_map_lookup_elem(&endpoint_bits, &zero);

	if (!some || !(some->bits[h >> 3] & 1 << (h & 7)))
		return NULL;
	return bpf_map_lookup_elem(&endpoints, a);
}

#endif
