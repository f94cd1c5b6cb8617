/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walks the flow tables inside the kernel and ends what has aged or is asked to end. */
#ifndef EBNET_SWEEP_H
#define EBNET_SWEEP_H

#include "flow.h"

struct sweep_state {
	struct sweep *ask;
	const struct settings *cfg;
	__u32 now;
	__s64 half_open; /* TCP flows in flows */
	bool spilled; /* there is one in flows_new */
};

/* Is this flow, given its initiator's half, among those asked to end? */
static __always_inline bool sweep_matches(const struct sweep *ask, const struct tuple *key,
					  const struct flow *f)
{
	switch (ask->match) {
	case SWEEP_ENDPOINT:
		return f->endpoint == ask->endpoint;
	case SWEEP_PUBLISH:
		return f->publish == ask->publish && (!ask->port || key->dport == ask->port);
	case SWEEP_ALL:
		return true;
	}
	return false;
}

/* A flow has aged when neither half has seen a packet for its lifetime. */
static __always_inline bool has_aged(const struct sweep_state *s, const struct flow *f,
				     const struct flow *other)
{
	__u32 life = flow_lifetime(f, s->cfg);

	return ticks_since(f->seen, s->now) > life && ticks_since(other->seen, s->now) > life;
}

static long sweep_half(void *table __attribute__((unused)), const struct tuple *key, struct flow *f,
		       struct sweep_state *s)
{
	struct tuple other_key;
	struct flow *other;

	s->ask->visited++;
	if (key->proto == IPPROTO_TCP && f->flags & FLOW_EVICTABLE)
		s->spilled = true;
	tuple_reverse(&other_key, &f->nat);
	other = flow_lookup(&other_key);
	/* a half without its other is what eviction has left, or is being made right now */
	if (!other) {
		if (ticks_since(f->created, s->now) > HALF_MADE)
			flow_end(key, f);
		return 0;
	}
	if (!(f->flags & FLOW_INITIATOR))
		return 0;
	if (!sweep_matches(s->ask, key, f) && flow_lives(f) && !has_aged(s, f, other)) {
		s->half_open += !(f->state & STATE_ESTABLISHED) && !(f->flags & FLOW_EVICTABLE);
		return 0;
	}
	s->ask->ended++;
	flow_end(key, f);
	return 0;
}

/* Corrects what programs count while they run. Whoever spills meanwhile has said so before. */
static __always_inline void sweep_half_open(const struct sweep_state *s, __u64 spilled)
{
	struct half_open *h = half_open_get();

	if (!h)
		return;
	h->count = s->half_open;
	if (!s->spilled && ticks_since(spilled, s->now) > HALF_MADE)
		__sync_val_compare_and_swap(&h->spilled, spilled, 0);
}

#endif
