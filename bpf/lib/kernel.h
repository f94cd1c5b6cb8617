/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the kernel is to forward in our place: packets at the end of their time to live, and
 * such as are too big. It answers them with ICMP's errors, or fragments them, as any router.
 * They go in by ebnet's own device, which forwards whatever the host's setting is. Towards a
 * container they are translated before, from one at the uplink's egress.
 */
#ifndef EBNET_KERNEL_H
#define EBNET_KERNEL_H

#include "fragment.h"
#include "rewrite.h"

/* Smaller packets are not asked about: no sane device carries less (RFC 791). */
#define MTU_NOT_ASKED 576

/* Does it, or a segment of it, not fit the device? */
static __always_inline bool too_big(struct __sk_buff *skb, __u32 oif)
{
	__u32 mtu = 0;

	return skb->len > MTU_NOT_ASKED + ETH_HLEN &&
	       bpf_check_mtu(skb, oif, &mtu, 0, BPF_MTU_CHK_SEGS) > 0;
}

/* May an IPv4 router fragment it? */
static __always_inline bool may_be_fragmented(struct __sk_buff *skb, const struct pkt *p)
{
	__be16 flags = 0;

	return !p->v6 &&
	       !bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, frag_off), &flags,
				   sizeof(flags)) &&
	       !(flags & bpf_htons(IP_DONT_FRAGMENT));
}

static __always_inline int to_kernel(struct __sk_buff *skb)
{
	struct settings *cfg = settings_get();

	if (!cfg || !cfg->fib_ifindex)
		return DROP(DROP_NO_ROUTE);
	if (bpf_skb_store_bytes(skb, 0, cfg->fib_mac, sizeof(cfg->fib_mac), 0))
		return DROP(DROP_REWRITE);
	return bpf_redirect(cfg->fib_ifindex, BPF_F_INGRESS);
}

/* Was this packet handed to the kernel? */
static __always_inline bool was_handed_over(const struct __sk_buff *skb)
{
	struct settings *cfg = settings_get();

	return cfg && cfg->fib_ifindex && skb->ingress_ifindex == cfg->fib_ifindex;
}

/* The kernel shall tell the sender that its packet's time is up. */
static __always_inline int expired(struct __sk_buff *skb, const struct pkt *p, enum direction dir)
{
	count_drop(DROP_TTL, dir, p->segs);
	return to_kernel(skb);
}

#endif
