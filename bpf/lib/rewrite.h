/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Changing a packet's addresses and ports, checksums included (RFC 1624). */
#ifndef EBNET_REWRITE_H
#define EBNET_REWRITE_H

#include "packet.h"

/* The part of an IPv4 header that a translation changes, as it lies on the wire, and
 * the ports that follow it where it has no options. */
struct ip_tail {
	__u8 ttl;
	__u8 proto;
	__sum16 check;
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
};
#define IP_TAIL_PORTS (sizeof(struct ip_tail) - offsetof(struct ip_tail, sport))
#define IP_TAIL_OFFSET (ETH_HLEN + offsetof(struct iphdr, ttl))

static __always_inline __u32 csum_fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

static __always_inline __sum16 csum_fold16(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The sum of what one pair of words becomes, less what it was. */
static __always_inline __u32 csum_delta(__be32 from_a, __be32 from_b, __be32 to_a, __be32 to_b)
{
	return csum_fold32((__u64)(__u32)~from_a + (__u32)~from_b + to_a + to_b);
}

/* Where a transport header keeps its checksum. */
static __always_inline __u32 l4_check_offset(const struct pkt *p)
{
	if (p->t.proto == IPPROTO_TCP)
		return p->l4 + offsetof(struct tcphdr, check);
	if (p->t.proto == IPPROTO_UDP)
		return p->l4 + offsetof(struct udphdr, check);
	return p->l4 + offsetof(struct icmp_echo, checksum);
}

/* Do the ports come right after the addresses? */
static __always_inline bool ports_follow(const struct pkt *p)
{
	return p->l4 == ETH_HLEN + sizeof(struct iphdr) && p->t.proto != IPPROTO_ICMP;
}

/*
 * Rewrites addresses, the ports that follow them, and takes hops from the time to live.
 * Invalidates packet pointers.
 */
static __always_inline int rewrite_v4(struct __sk_buff *skb, const struct pkt *p,
				      const struct tuple *to, __u8 hops, __u32 delta)
{
	struct ip_tail tail = {
		.ttl = p->ttl - hops,
		.proto = p->t.proto,
		.saddr = to->src.w[3],
		.daddr = to->dst.w[3],
		.sport = to->sport,
		.dport = to->dport,
	};
	__u32 sum = (__u16)~p->ip_check;

	/* the first byte of its 16-bit word, in either byte order of this machine */
	sum += (__u16)~bpf_htons((__u16)p->ttl << 8) + bpf_htons((__u16)tail.ttl << 8);
	sum += csum_fold16(delta);
	tail.check = ~csum_fold16(sum);
	return bpf_skb_store_bytes(skb, IP_TAIL_OFFSET, &tail,
				   sizeof(tail) - (ports_follow(p) ? 0 : IP_TAIL_PORTS), 0);
}

/*
 * Rewrites an echo's identifier, or ports that do not follow the addresses, and the sum for
 * either. Invalidates packet pointers.
 */
static __always_inline int rewrite_ports(struct __sk_buff *skb, const struct pkt *p,
					 const struct tuple *to)
{
	__be16 ports[2] = { to->sport, to->dport };
	__be16 id = to->sport ?: to->dport;
	__u32 old, now;
	long err = 0;

	if (p->t.proto == IPPROTO_ICMP) {
		old = p->t.sport ?: p->t.dport;
		now = id;
		err = bpf_skb_store_bytes(skb, p->l4 + offsetof(struct icmp_echo, id), &id,
					  sizeof(id), 0);
	} else {
		old = csum_fold32((__u64)p->t.sport + p->t.dport);
		now = csum_fold32((__u64)to->sport + to->dport);
		if (!ports_follow(p))
			err = bpf_skb_store_bytes(skb, p->l4, ports, sizeof(ports), 0);
	}
	if (err)
		return err;
	return bpf_l4_csum_replace(skb, l4_check_offset(p), 0, csum_delta(old, 0, now, 0),
				   p->t.proto == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0);
}

/*
 * Makes the packet what the tuple says; hops is 1 where this host forwards.
 * A UDP checksum of 0 stays 0. Returns 0 or a reason to drop, and then the
 * packet may be half changed. Invalidates packet pointers.
 */
static __always_inline int rewrite(struct __sk_buff *skb, const struct pkt *p,
				   const struct tuple *to, __u8 hops)
{
	__u32 delta = csum_delta(p->t.src.w[3], p->t.dst.w[3], to->src.w[3], to->dst.w[3]);
	__u64 flags = BPF_F_PSEUDO_HDR;

	if (p->t.proto == IPPROTO_UDP)
		flags |= BPF_F_MARK_MANGLED_0;
	/* ICMP has no pseudo header (RFC 792) */
	if (p->t.proto != IPPROTO_ICMP && delta &&
	    bpf_l4_csum_replace(skb, l4_check_offset(p), 0, delta, flags))
		return DROP(DROP_REWRITE);
	if ((to->sport != p->t.sport || to->dport != p->t.dport) && rewrite_ports(skb, p, to))
		return DROP(DROP_REWRITE);
	if (rewrite_v4(skb, p, to, hops, delta))
		return DROP(DROP_REWRITE);
	return 0;
}

#endif
