/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The life of a flow: found, made, promoted, closed, ended. */
#ifndef EBNET_FLOW_H
#define EBNET_FLOW_H

#include <linux/errno.h>

#include "count.h"

/* The clock of flows: ticks of 2^26 ns (67 ms), which need no division. */
#define TICK_SHIFT 26

#define STATE_FINS (STATE_FIN_INITIATOR | STATE_FIN_RESPONDER)
/* Packets without an answer after which a flow is one that needs none. A power of two. */
#define ONE_WAY_PACKETS 16
/* Ticks after which a half without its other is not one being made: about a second. */
#define HALF_MADE 15

#define STATE_CLOSING (STATE_FINS | STATE_RST)

static __always_inline struct settings *settings_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

/* Half-open flows that may be in flows. Set by the loader. */
volatile const __u32 cfg_max_half_open = MAX_HALF_OPEN;

static __always_inline __u32 now_ticks(void)
{
	return bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}

/* 0 where the other CPU's clock was a tick ahead. */
static __always_inline __u32 ticks_since(__u32 then, __u32 now)
{
	__s32 since = now - then;

	return since > 0 ? since : 0;
}

static __always_inline struct half_open *half_open_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&half_open, &zero);
}

static __always_inline void half_open_add(__s64 by)
{
	struct half_open *h = half_open_get();

	if (h)
		__sync_fetch_and_add(&h->count, by);
}

/* Room for one more half-open flow in flows, taken where there is. */
static __always_inline bool half_open_room(void)
{
	struct half_open *h = half_open_get();

	if (!h || h->count >= cfg_max_half_open)
		return false;
	__sync_fetch_and_add(&h->count, 1);
	return true;
}

/* Can this tuple be in flows_new? Mostly not, and a look at cold memory is spared. */
static __always_inline bool may_be_new(const struct tuple *key)
{
	struct half_open *h = half_open_get();

	return key->proto != IPPROTO_TCP || !h || h->spilled;
}

static __always_inline struct flow *flow_lookup(const struct tuple *key)
{
	struct flow *f = bpf_map_lookup_elem(&flows, key);

	if (f || !may_be_new(key))
		return f;
	return bpf_map_lookup_elem(&flows_new, key);
}

/* Do its endpoint and its publish still live? */
static __always_inline bool flow_lives(const struct flow *f)
{
	__u32 i = f->endpoint;
	struct publish_slot *pub;
	struct slot *slot;

	if (f->kind == KIND_HOST)
		return true;
	slot = bpf_map_lookup_elem(&slots, &i);
	if (!slot || slot->gen != f->endpoint_gen)
		return false;
	i = f->publish;
	if (!i)
		return true;
	pub = bpf_map_lookup_elem(&publish_slots, &i);
	return pub && pub->gen == f->publish_gen;
}

/* Deletes a half. True: it was the initiator's. */
static __always_inline bool delete_half(void *table, const struct tuple *key, __u8 flags)
{
	if (bpf_map_delete_elem(table, key) || !(flags & FLOW_INITIATOR))
		return false;
	count_event(EVENT_FLOW_ENDED);
	return true;
}

/* Ends a flow, given one of its halves, which is gone afterwards. */
static __always_inline void flow_end(const struct tuple *key, struct flow *f)
{
	__u8 flags = f->flags, state = f->state;
	struct tuple other;
	bool ended;

	tuple_reverse(&other, &f->nat);
	if (flags & FLOW_EVICTABLE) {
		delete_half(&flows_new, key, flags);
		delete_half(&flows_new, &other, flags ^ FLOW_INITIATOR);
		return;
	}
	ended = delete_half(&flows, key, flags);
	ended |= delete_half(&flows, &other, flags ^ FLOW_INITIATOR);
	if (ended && !(state & STATE_ESTABLISHED))
		half_open_add(-1);
}

/* After how many ticks without a packet does this flow end? */
static __always_inline __u32 flow_lifetime(const struct flow *f, const struct settings *cfg)
{
	if (f->nat.proto == IPPROTO_ICMP || f->nat.proto == IPPROTO_ICMPV6)
		return cfg->icmp;
	if (f->nat.proto != IPPROTO_TCP)
		return cfg->udp;
	if (f->state & STATE_CLOSING)
		return cfg->tcp_closing;
	return f->state & STATE_ESTABLISHED ? cfg->tcp_established : cfg->tcp_new;
}

/* The state bits that this packet adds. */
static __always_inline __u8 state_added(const struct pkt *p, const struct flow *f)
{
	bool initiator = f->flags & FLOW_INITIATOR;
	__u8 add = 0;

	if (!initiator && !(p->tcp_flags & TCP_RST))
		add |= STATE_REPLIED;
	if (p->tcp_flags & TCP_FIN)
		add |= initiator ? STATE_FIN_INITIATOR : STATE_FIN_RESPONDER;
	if (p->tcp_flags & TCP_RST)
		add |= STATE_RST;
	return add;
}

/* Writes both halves' state; rare, so the other half's look-up does not matter. */
static __always_inline void set_state(struct flow *f, __u8 state)
{
	struct tuple other;
	struct flow *o;

	tuple_reverse(&other, &f->nat);
	o = f->flags & FLOW_EVICTABLE ? bpf_map_lookup_elem(&flows_new, &other)
				      : bpf_map_lookup_elem(&flows, &other);
	f->state = state;
	if (o)
		o->state = state;
}

/*
 * The other half of an evictable flow. Its table may evict one half alone, and
 * reuse its memory under our eyes: what does not point back is not it.
 */
static __always_inline struct flow *other_new_half(const struct tuple *key, const struct flow *f)
{
	struct tuple other;
	struct flow *o;

	tuple_reverse(&other, &f->nat);
	o = bpf_map_lookup_elem(&flows_new, &other);
	return o && tuple_mirrors(&o->nat, key) ? o : NULL;
}

/*
 * Moves both halves to where no flood evicts them, with a state that they get by that. Where
 * there is no room they stay, and work. Not inlined: it is rare, and its stack is needed by
 * nobody else.
 */
static __noinline bool settle(const struct tuple *key, struct flow *f, __u8 state)
{
	struct tuple other;
	struct flow *o;

	o = other_new_half(key, f);
	if (!o)
		return false;
	tuple_reverse(&other, &f->nat);
	o->state |= state;
	f->state |= state;
	o->flags &= ~FLOW_EVICTABLE;
	f->flags &= ~FLOW_EVICTABLE;
	if (bpf_map_update_elem(&flows, &other, o, BPF_ANY))
		goto undo;
	if (bpf_map_update_elem(&flows, key, f, BPF_ANY)) {
		bpf_map_delete_elem(&flows, &other);
		goto undo;
	}
	bpf_map_delete_elem(&flows_new, &other);
	bpf_map_delete_elem(&flows_new, key);
	return true;
undo:
	o->state &= ~state;
	f->state &= ~state;
	o->flags |= FLOW_EVICTABLE;
	f->flags |= FLOW_EVICTABLE;
	return false;
}

/* The initiator has answered the responder. */
static __always_inline void promote(const struct tuple *key, struct flow *f)
{
	if (f->flags & FLOW_EVICTABLE) {
		settle(key, f, STATE_ESTABLISHED);
		return;
	}
	set_state(f, f->state | STATE_ESTABLISHED);
	half_open_add(-1);
}

/*
 * Nobody answers, and the initiator goes on: a log or a stream that is no conversation. It
 * gets a place among the half-open flows of TCP, where one look-up finds it.
 */
static __always_inline void keep_one_way(const struct pkt *p, struct flow *f)
{
	bool again = f->packets / ONE_WAY_PACKETS != (f->packets - p->segs) / ONE_WAY_PACKETS;

	if (f->flags & FLOW_EVICTABLE && again && half_open_room() && !settle(&p->t, f, 0))
		half_open_add(-1);
}

/* Notes what a packet means for its flow; the half may have moved to flows afterwards. */
static __always_inline void flow_touch(const struct pkt *p, struct flow *f, __u32 now)
{
	__u8 add = state_added(p, f) & ~f->state;

	f->packets += p->segs;
	f->bytes += p->bytes;
	f->seen = now;
	if (add)
		set_state(f, f->state | add);
	else if (f->state & STATE_RST && !(p->tcp_flags & (TCP_RST | TCP_SYN)))
		set_state(f, f->state & ~STATE_RST); /* it lives: that RST was not believed */
	if (f->state & STATE_ESTABLISHED || !(f->flags & FLOW_INITIATOR))
		return;
	if (!(f->state & STATE_REPLIED))
		keep_one_way(p, f);
	else if (p->t.proto != IPPROTO_TCP || p->tcp_flags & TCP_ACK)
		promote(&p->t, f);
}

/* A new connection over the five-tuple of one that has ended. */
static __always_inline bool reopens(const struct pkt *p, const struct flow *f)
{
	return p->t.proto == IPPROTO_TCP && tcp_opens(p) && f->flags & FLOW_INITIATOR &&
	       (f->state & (STATE_RST | STATE_OVER) || (f->state & STATE_FINS) == STATE_FINS);
}

/* Can a new connection's halves be written over this flow's? See flow_renew(). */
static __always_inline bool is_renewable(const struct flow *f)
{
	return !(f->flags & FLOW_EVICTABLE) && f->kind != KIND_HOST;
}

/* Which hook a packet comes by; what comes from containers has their device in a flow's half. */
enum hook {
	HOOK_CTR,
	HOOK_EXT,
	HOOK_HOST,
};

/* May this half's packets come by that hook, and this device? */
static __always_inline bool comes_by(const struct __sk_buff *skb, const struct flow *f,
				     enum hook hook)
{
	bool hosts = f->flags & FLOW_TO_HOST && f->flags & FLOW_INITIATOR;

	if (hook == HOOK_CTR)
		return f->iif == skb->ifindex;
	return !f->iif && hosts == (hook == HOOK_HOST);
}

/*
 * Finds the flow that carries this packet. One that is dead or halved, or that
 * a new connection replaces, is none any more. NULL: none.
 */
static __always_inline struct flow *flow_find(struct __sk_buff *skb, struct pkt *p, enum hook hook)
{
	struct flow *f;

	if (!p->ported)
		return NULL;
	f = flow_lookup(&p->t);
	if (!f)
		return NULL;
	if (!flow_lives(f))
		goto end;
	if (!comes_by(skb, f, hook))
		return NULL;
	if (reopens(p, f)) {
		if (!is_renewable(f))
			goto end;
		f->state |= STATE_OVER;
		p->reopens = true;
		return NULL;
	}
	if (f->state & STATE_OVER)
		return NULL;
	if ((f->flags & (FLOW_EVICTABLE | FLOW_INITIATOR)) == (FLOW_EVICTABLE | FLOW_INITIATOR) &&
	    !other_new_half(&p->t, f))
		goto end;
	return f;
end:
	flow_end(&p->t, f);
	return NULL;
}

/* Is this the answering half of what eviction has left of a half-open flow? */
static __always_inline bool is_remnant(const struct tuple *answer, const struct flow *f)
{
	return f->flags & FLOW_EVICTABLE && ticks_since(f->created, now_ticks()) > HALF_MADE &&
	       !other_new_half(answer, f);
}

/* Is this outside tuple, as its answers come in, a living flow's, and not that which p reopens? */
static __always_inline bool tuple_taken(const struct pkt *p, const struct tuple *answer)
{
	struct flow *f = flow_lookup(answer);

	if (!f || (p->reopens && tuple_mirrors(&f->nat, &p->t)))
		return false;
	if (flow_lives(f) && !is_remnant(answer, f))
		return true;
	flow_end(answer, f);
	return false;
}

/* An empty draft, this CPU's own. */
static __always_inline struct draft *draft_begin(__u8 kind, const struct pkt *p)
{
	__u32 zero = 0;
	struct draft *d = bpf_map_lookup_elem(&drafts, &zero);

	if (!d)
		return NULL;
	__builtin_memset(d, 0, sizeof(*d));
	d->first.kind = kind;
	d->first.nat = p->t;
	return d;
}

/* Fills the answering half with what it shares with, or mirrors from, the initiator's. */
static __always_inline void draft_mirror(struct draft *d, const struct pkt *p)
{
	__u32 iif = d->back.iif, oif = d->back.oif;
	__u8 flags = d->back.flags;

	d->first.created = d->first.seen = now_ticks();
	d->first.flags |= FLOW_INITIATOR;
	d->first.packets = d->first.bytes = 0;
	d->back = d->first;
	d->back.iif = iif;
	d->back.oif = oif;
	d->back.flags = flags;
	tuple_reverse(&d->answer, &d->first.nat);
	tuple_reverse(&d->back.nat, &p->t);
}

/* A TCP flow is about to be put into flows_new. */
static __always_inline void half_open_spills(void)
{
	struct half_open *h = half_open_get();

	if (h)
		h->spilled = now_ticks();
}

/*
 * Puts both halves of a draft into a table, if they are in neither. The answer's
 * key is claimed first: what the other table has of it can only have been made
 * after the caller's look-up.
 */
static __always_inline long put_halves(void *table, void *elsewhere, const struct tuple *key,
				       struct draft *d)
{
	long err = bpf_map_update_elem(table, &d->answer, &d->back, BPF_NOEXIST);

	if (err)
		return err;
	err = -EEXIST;
	if ((elsewhere == &flows_new && !may_be_new(key)) ||
	    !bpf_map_lookup_elem(elsewhere, &d->answer)) {
		err = bpf_map_update_elem(table, key, &d->first, BPF_NOEXIST);
		if (!err)
			return 0;
		err = err == -EEXIST ? -EALREADY : err;
	}
	bpf_map_delete_elem(table, &d->answer);
	return err;
}

/*
 * A connection over the tuple of one that is over, and by the same way, is written over
 * it: that memory is at hand, and half of what a new flow costs is memory that is not.
 * False: there is no such flow, now at the latest.
 */
static __always_inline bool flow_renew(const struct pkt *p, struct draft *d)
{
	struct flow *o = NULL, *f = bpf_map_lookup_elem(&flows, &p->t);

	if (!f || !(f->state & STATE_OVER))
		return false;
	if (tuple_equal(&f->nat, &d->first.nat))
		o = bpf_map_lookup_elem(&flows, &d->answer);
	if (!o || !tuple_mirrors(&o->nat, &p->t) ||
	    (f->state & STATE_ESTABLISHED && !half_open_room())) {
		flow_end(&p->t, f);
		return false;
	}
	if (o->oif == d->back.oif)
		d->back.hop = o->hop;
	*o = d->back;
	*f = d->first;
	count_event(EVENT_FLOW_ENDED);
	return true;
}

/*
 * Makes both halves of a flow that begins with this packet: the caller has
 * filled first, and iif, oif and flags of back. Returns 0, -EEXIST where
 * another has the answer's key, -EALREADY where another packet has just made
 * this flow, or what the map says; nothing is left of a failure.
 */
CHECKED_ALONE int flow_make(const struct pkt *p, struct draft *d)
{
	int err = -E2BIG;

	if (!p || !d)
		return -EINVAL;
	draft_mirror(d, p);
	/* Half-open flows of TCP soon end, or are no more so. One question and answer by UDP
	 * stays a flow for minutes, and has to earn its place. */
	if (p->reopens && flow_renew(p, d)) {
		err = 0;
	} else if (p->t.proto == IPPROTO_TCP && half_open_room()) {
		err = put_halves(&flows, &flows_new, &p->t, d);
		if (err)
			half_open_add(-1);
	}
	if (err == -E2BIG || err == -ENOMEM) {
		if (p->t.proto == IPPROTO_TCP)
			half_open_spills();
		d->first.flags |= FLOW_EVICTABLE;
		d->back.flags |= FLOW_EVICTABLE;
		err = put_halves(&flows_new, &flows, &p->t, d);
		d->first.flags &= ~FLOW_EVICTABLE;
		d->back.flags &= ~FLOW_EVICTABLE;
	}
	if (!err)
		count_flow(d->first.kind, p->t.proto);
	return err;
}

#endif
