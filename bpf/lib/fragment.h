/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Fragments. The first of a datagram says what the others lack, and is remembered for them:
 * they have its ports from then on, and take its way. One that comes before the first is
 * held, and handed in again after it.
 */
#ifndef EBNET_FRAGMENT_H
#define EBNET_FRAGMENT_H

#include "count.h"
#include "flow.h"

/* How long a first fragment speaks for others, and others wait for it: two seconds. */
#define FRAGMENT_TICKS 30
/* Places among which a source's fragments are held, so that none fills those of all. */
#define HELD_OF_SOURCE 8

static __always_inline struct datagram datagram_of(const struct pkt *p)
{
	return (struct datagram){
		.src = p->t.src,
		.dst = p->t.dst,
		.id = p->id,
		.proto = p->t.proto,
	};
}

static __always_inline bool datagram_equal(const struct datagram *a, const struct datagram *b)
{
	return addr_equal(&a->src, &b->src) && addr_equal(&a->dst, &b->dst) && a->id == b->id &&
	       a->proto == b->proto;
}

/* The nth place in which this datagram's fragments are held. */
static __always_inline struct held_fragment *held_place(const struct datagram *of, __u32 nth)
{
	__u32 h = of->src.w[0] ^ of->src.w[1] ^ of->src.w[2] ^ of->src.w[3], i;

	h = (h ^ h >> 16) * 0x9e3779b1;
	i = (h >> 16) * HELD_OF_SOURCE + nth;
	i &= MAX_HELD - 1;
	return bpf_map_lookup_elem(&held, &i);
}

static __always_inline bool held_lock(struct held_fragment *place)
{
	return !__sync_val_compare_and_swap(&place->lock, 0, 1);
}

static __always_inline void held_unlock(struct held_fragment *place)
{
	__sync_lock_test_and_set(&place->lock, 0);
}

/* Keeps a fragment in this place; false where another one that still waits has it. */
static __always_inline bool hold_in(struct __sk_buff *skb, const struct datagram *of,
				    struct held_fragment *place, enum direction dir)
{
	__u32 len = skb->len, now = now_ticks();

	if (!len || len > MAX_HELD_LEN || !held_lock(place))
		return false;
	if (place->len && ticks_since(place->seen, now) <= FRAGMENT_TICKS) {
		held_unlock(place);
		return false;
	}
	if (place->len)
		count_drop(DROP_FRAGMENT, place->dir, 1); /* its first has never come */
	place->len = 0;
	if (!bpf_skb_load_bytes(skb, 0, place->data, len)) {
		place->of = *of;
		place->seen = now;
		place->dir = dir;
		place->len = len;
	}
	held_unlock(place);
	return place->len;
}

/* Keeps a fragment until its first comes. */
static __noinline bool hold(struct __sk_buff *skb, const struct datagram *of, enum direction dir)
{
	struct held_fragment *place;
	__u32 i;

	for (i = 0; i < HELD_OF_SOURCE; i++) {
		place = held_place(of, i);
		if (place && hold_in(skb, of, place, dir))
			return true;
	}
	return false;
}

/* Makes the packet the one that is held here, and hands it in again. */
static __always_inline void hand_in(struct __sk_buff *skb, struct held_fragment *place)
{
	__u32 len = place->len;

	if (!len || len > MAX_HELD_LEN)
		return;
	if (!bpf_skb_change_tail(skb, len, 0) && !bpf_skb_store_bytes(skb, 0, place->data, len, 0))
		bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
	place->len = 0;
}

/*
 * Hands in again what waits for this first fragment, after the first itself. True: this
 * packet is used up by that.
 */
static __noinline bool release(struct __sk_buff *skb, const struct datagram *of)
{
	struct held_fragment *place;
	bool found = false;
	__u32 i;

	for (i = 0; i < HELD_OF_SOURCE; i++) {
		place = held_place(of, i);
		if (!place || !place->len || !datagram_equal(&place->of, of) || !held_lock(place))
			continue;
		if (place->len && datagram_equal(&place->of, of)) {
			if (!found)
				bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS);
			found = true;
			hand_in(skb, place);
		}
		held_unlock(place);
	}
	return found;
}

/* Those after it are told what this first fragment says. */
static __always_inline void note_first(const struct pkt *p, const struct datagram *of)
{
	struct first_fragment first = {
		.sport = p->t.sport,
		.dport = p->t.dport,
		.tcp_flags = p->tcp_flags,
		.ported = p->ported,
		.seen = now_ticks(),
	};

	bpf_map_update_elem(&fragments, of, &first, BPF_ANY);
}

/* True: what waited for this fragment, and itself, come again. */
static __always_inline bool first_fragment(struct __sk_buff *skb, const struct pkt *p,
					   const struct datagram *of)
{
	note_first(p, of);
	return release(skb, of);
}

/* Tells a fragment that is not the first what the first has said. False: it has not come. */
static __always_inline bool later_fragment(struct pkt *p, const struct datagram *of)
{
	struct first_fragment *first = bpf_map_lookup_elem(&fragments, of);

	if (!first || ticks_since(first->seen, now_ticks()) > FRAGMENT_TICKS)
		return false;
	p->t.sport = first->sport;
	p->t.dport = first->dport;
	p->tcp_flags = first->tcp_flags;
	p->ported = first->ported;
	return true;
}

/*
 * Makes a fragment a packet with ports, as its datagram has them; where they are not known
 * it stays one without. Returns PARSED, or CONSUMED where it waits or comes again.
 */
CHECKED_ALONE int fragment(struct __sk_buff *skb, struct pkt *p, enum direction dir)
{
	struct datagram of;

	if (!p)
		return PARSED;
	of = datagram_of(p);
	if (!IS_LATER(p))
		return first_fragment(skb, p, &of) ? CONSUMED : PARSED;
	return !later_fragment(p, &of) && hold(skb, &of, dir) ? CONSUMED : PARSED;
}

/* The same of what the kernel has made fragments of: they come in order. */
CHECKED_ALONE int fragment_made(struct pkt *p)
{
	struct datagram of;

	if (!p)
		return PARSED;
	of = datagram_of(p);
	if (IS_LATER(p))
		later_fragment(p, &of);
	else
		note_first(p, &of);
	return PARSED;
}

#endif
