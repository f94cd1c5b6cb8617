/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * ICMP errors about translated packets (RFC 5508 section 4, RFC 4443): found by the packet
 * that they quote, which becomes again what its sender had sent. They refresh no flow, and
 * end none.
 */
#ifndef EBNET_ICMP_ERROR_H
#define EBNET_ICMP_ERROR_H

#include "output.h"

#define ICMP_HEADER 8 /* before the quoted packet */

/* What of an IPv4 header changes where a packet is quoted. */
struct quoted_ip {
	__sum16 check;
	__be32 saddr;
	__be32 daddr;
} __attribute__((packed));

/* Reads the quoted IPv4 header; false where no translation can be told from it. */
static __always_inline bool quoted_v4(struct __sk_buff *skb, struct pkt *in, __u32 at)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return false;
	if (ip.frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
		return false;
	in->t.src = addr_v4(ip.saddr);
	in->t.dst = addr_v4(ip.daddr);
	in->t.proto = ip.protocol;
	in->ip_check = ip.check;
	in->l4 = at + ip.ihl * 4;
	return true;
}

static __always_inline bool quoted_v6(struct __sk_buff *skb, struct pkt *in, __u32 at)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, at, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	__builtin_memcpy(&in->t.src, &ip.saddr, sizeof(in->t.src));
	__builtin_memcpy(&in->t.dst, &ip.daddr, sizeof(in->t.dst));
	in->v6 = true;
	in->t.proto = ip.nexthdr;
	in->l4 = at + sizeof(ip);
	return skip_extensions(skb, in) == PARSED && !IS_LATER(in);
}

/* Reads the quoted packet, as parse() reads one that is not quoted. */
static __noinline bool parse_quoted(struct __sk_buff *skb, const struct pkt *p, struct pkt *in)
{
	__u32 at = p->l4 + ICMP_HEADER;
	__u8 l4[ICMP_HEADER];

	if (!(p->v6 ? quoted_v6(skb, in, at) : quoted_v4(skb, in, at)))
		return false;
	if (bpf_skb_load_bytes(skb, in->l4, l4, sizeof(l4)))
		return false;
	if (is_icmp(in))
		parse_echo(in, (struct icmp_echo *)l4);
	else if (in->t.proto == IPPROTO_TCP || in->t.proto == IPPROTO_UDP)
		parse_ports(in, l4);
	else
		in->ported = in->portless = is_portless(in->t.proto);
	return in->ported;
}

/* Where a quoted packet has its transport checksum; 0 where it has none, or not in the quote. */
static __always_inline __u32 quoted_check_offset(struct __sk_buff *skb, const struct pkt *in)
{
	__u32 at = l4_check_offset(in);

	return HAS_L4(in) && at + sizeof(__sum16) <= skb->len ? at : 0;
}

/* A checksum after its words have changed by that much (RFC 1624). */
static __always_inline __sum16 check_after(__sum16 check, __u32 delta)
{
	return ~csum_fold16((__u32)(__u16)~check + csum_fold16(delta));
}

/* Rewrites the addresses of the quoted packet. What that is for its own sum it undoes for ICMP's. */
static __always_inline long quote_addrs(struct __sk_buff *skb, const struct pkt *p,
					const struct pkt *in, const struct tuple *to, __u32 delta)
{
	__u32 at = p->l4 + ICMP_HEADER;
	struct quoted_ip ip = {
		.check = check_after(in->ip_check, delta),
		.saddr = to->src.w[3],
		.daddr = to->dst.w[3],
	};

	if (p->v6)
		return bpf_skb_store_bytes(skb, at + offsetof(struct ipv6hdr, saddr), &to->src,
					   2 * sizeof(struct addr), 0);
	return bpf_skb_store_bytes(skb, at + offsetof(struct iphdr, check), &ip, sizeof(ip), 0);
}

/* Rewrites the ports of the quoted packet, or its identifier. */
static __always_inline long quote_ports(struct __sk_buff *skb, const struct pkt *in,
					const struct tuple *to)
{
	__be16 ports[2] = { to->sport, to->dport };
	__be16 id = to->sport ?: to->dport;

	if (!HAS_L4(in))
		return 0;
	if (is_icmp(in))
		return bpf_skb_store_bytes(skb, in->l4 + offsetof(struct icmp_echo, id), &id,
					   sizeof(id), 0);
	return bpf_skb_store_bytes(skb, in->l4, ports, sizeof(ports), 0);
}

/* Rewrites the quoted packet, and ICMP's sum for it. Returns 0 or an error. */
static __noinline int requote(struct __sk_buff *skb, const struct pkt *p, const struct pkt *in,
			      const struct tuple *to)
{
	__u32 addrs = addrs_delta(in, to), check_at = quoted_check_offset(skb, in);
	__u32 ports = csum_delta(csum_fold32((__u64)in->t.sport + in->t.dport), 0,
				 csum_fold32((__u64)to->sport + to->dport), 0);
	/* the sum over the quote: what its IP header loses in addresses it gains in its check */
	__u32 quote = csum_fold32((__u64)(p->v6 ? addrs : 0) + ports);
	__u32 l4 = in->t.proto == IPPROTO_ICMP ? ports : csum_fold32((__u64)addrs + ports);
	__sum16 check;
	long err = quote_addrs(skb, p, in, to, addrs);

	err = err ?: quote_ports(skb, in, to);
	if (!err && check_at) {
		err = bpf_skb_load_bytes(skb, check_at, &check, sizeof(check));
		if (!err && (check || in->t.proto != IPPROTO_UDP)) {
			check = check_after(check, l4);
			if (!check && in->t.proto == IPPROTO_UDP)
				check = 0xffff;
			err = bpf_skb_store_bytes(skb, check_at, &check, sizeof(check), 0);
			quote = csum_fold32((__u64)quote + (__u32)~l4);
		}
	}
	return err ?: bpf_l4_csum_replace(skb, l4_check_offset(p), 0, quote, 0);
}

/*
 * The flow whose packet an error quotes, by the half that goes the error's way. Its key is
 * left in this CPU's draft, and what was quoted in in.
 */
static __always_inline struct flow *quoted_flow(struct __sk_buff *skb, const struct pkt *p,
						struct pkt *in, struct draft **draft)
{
	struct draft *d;
	struct flow *f;
	__u32 zero = 0;

	if (!parse_quoted(skb, p, in))
		return NULL;
	d = *draft = bpf_map_lookup_elem(&drafts, &zero);
	if (!d)
		return NULL;
	tuple_reverse(&d->answer, &in->t);
	f = flow_lookup(&d->answer);
	return f && flow_lives(f) ? f : NULL;
}

/*
 * Makes an error one about the packet that its receiver has sent. Whoever is behind a
 * translated source shows that source, a router on the way keeps its address (RFC 5508
 * REQ-4, REQ-5). Returns 0 or a reason to drop.
 */
static __always_inline int error_translate(struct __sk_buff *skb, const struct pkt *p,
					   const struct pkt *in, struct draft *d,
					   const struct flow *f, __u8 hops)
{
	struct tuple *to = &d->first.nat; /* room for a tuple that is not on the stack */

	tuple_reverse(to, &f->nat);
	if (requote(skb, p, in, to))
		return DROP(DROP_REWRITE);
	*to = p->t;
	to->dst = f->nat.dst;
	if (!addr_equal(&d->answer.src, &f->nat.src))
		to->src = f->nat.src;
	return rewrite(skb, p, to, hops);
}

/* Sends an error along the flow whose packet it quotes. PASS: it is about no flow. */
CHECKED_ALONE int error_along(struct __sk_buff *skb, const struct pkt *p, enum direction dir)
{
	struct pkt in = {};
	struct draft *d;
	struct flow *f;
	int err;

	if (!p)
		return PASS;
	f = quoted_flow(skb, p, &in, &d);
	if (!f || !comes_by(skb, f, dir == DIR_EGRESS ? HOOK_CTR : HOOK_EXT))
		return PASS;
	if (f->flags & FLOW_TO_HOST)
		return error_translate(skb, p, &in, d, f, 0) ?: PASS;
	if (p->ttl <= 1)
		return DROP(DROP_TTL);
	count_flow_packet(skb, p, f, dir);
	err = error_translate(skb, p, &in, d, f, 1);
	if (err)
		return err;
	if (f->flags & FLOW_TO_CONTAINER)
		return to_container(skb, f->oif);
	return bpf_redirect_neigh(f->oif, NULL, 0, 0);
}

/*
 * The kernel tells an outside sender of a packet that was handed to it, translated already:
 * see kernel.h.
 */
CHECKED_ALONE int error_made(struct __sk_buff *skb, const struct pkt *p)
{
	struct pkt in = {};
	struct draft *d;
	struct flow *f;

	if (!p)
		return PASS;
	f = quoted_flow(skb, p, &in, &d);
	if (!f || f->flags & FLOW_TO_CONTAINER ||
	    (f->flags & FLOW_TO_HOST && !(f->flags & FLOW_INITIATOR)))
		return PASS;
	return error_translate(skb, p, &in, d, f, 0) ?: PASS;
}

#endif
