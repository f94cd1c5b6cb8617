/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Walks the flow tables inside the kernel and ends what has aged or is asked to end. */
#ifndef EBNET_SWEEP_H
#define EBNET_SWEEP_H

#include "flow.h"

struct sweep_state {
	struct sweep *ask;
	const struct settings *cfg;
	__u32 now;
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

	return seconds_since(f->seen, s->now) > life && seconds_since(other->seen, s->now) > life;
}

static long sweep_half(void *table __attribute__((unused)), const struct tuple *key, struct flow *f,
		       struct sweep_state *s)
{
	struct tuple other_key;
	struct flow *other;

	s->ask->visited++;
	tuple_reverse(&other_key, &f->nat);
	other = flow_lookup(&other_key);
	/* a half without its other is what eviction has left, or is being made right now */
	if (!other) {
		if (seconds_since(f->created, s->now) > HALF_MADE)
			flow_end(key, f);
		return 0;
	}
	if (!(f->flags & FLOW_INITIATOR))
		return 0;
	if (!sweep_matches(s->ask, key, f) && flow_lives(f) && !has_aged(s, f, other))
		return 0;
	s->ask->ended++;
	flow_end(key, f);
	return 0;
}

#endif
