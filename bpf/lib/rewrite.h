/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Changing a packet's addresses and ports, checksums included (RFC 1624). */
#ifndef EBNET_REWRITE_H
#define EBNET_REWRITE_H

#include "packet.h"

/* BPF_F_IPV6 where the kernel knows it (6.16): without it bpf_l4_csum_replace() gets the sum
 * of a packet wrong that the device has summed up. Set by the loader. */
volatile const __u64 cfg_csum_v6;

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
#define PORTS_SIZE 4
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

/* The same of an IPv6 header. */
struct ip6_tail {
	__u8 hop_limit;
	struct addr src;
	struct addr dst;
	__be16 sport;
	__be16 dport;
} __attribute__((packed));
#define IP6_TAIL_OFFSET (ETH_HLEN + offsetof(struct ipv6hdr, hop_limit))

/* The sum of what one pair of words becomes, less what it was. */
static __always_inline __u32 csum_delta(__be32 from_a, __be32 from_b, __be32 to_a, __be32 to_b)
{
	return csum_fold32((__u64)(__u32)~from_a + (__u32)~from_b + to_a + to_b);
}

static __always_inline __u64 addr_sum(const struct addr *a)
{
	return (__u64)a->w[0] + a->w[1] + a->w[2] + a->w[3];
}

static __always_inline __u64 addr_sum_inverse(const struct addr *a)
{
	return (__u64)(__u32)~a->w[0] + (__u32)~a->w[1] + (__u32)~a->w[2] + (__u32)~a->w[3];
}

/* The sum of what a packet's addresses become, less what they were. */
static __always_inline __u32 addrs_delta(const struct pkt *p, const struct tuple *to)
{
	if (!p->v6)
		return csum_delta(p->t.src.w[3], p->t.dst.w[3], to->src.w[3], to->dst.w[3]);
	return csum_fold32(addr_sum_inverse(&p->t.src) + addr_sum_inverse(&p->t.dst) +
			   addr_sum(&to->src) + addr_sum(&to->dst));
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
	return !is_icmp(p) && HAS_L4(p) &&
	       p->l4 == ETH_HLEN + (p->v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));
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
				   sizeof(tail) - (ports_follow(p) ? 0 : PORTS_SIZE), 0);
}

/* The same for IPv6, whose header has no checksum. */
static __always_inline int rewrite_v6(struct __sk_buff *skb, const struct pkt *p,
				      const struct tuple *to, __u8 hops)
{
	struct ip6_tail tail = {
		.hop_limit = p->ttl - hops,
		.src = to->src,
		.dst = to->dst,
		.sport = to->sport,
		.dport = to->dport,
	};

	return bpf_skb_store_bytes(skb, IP6_TAIL_OFFSET, &tail,
				   sizeof(tail) - (ports_follow(p) ? 0 : PORTS_SIZE), 0);
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

	if (is_icmp(p)) {
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
	__u32 delta = addrs_delta(p, to);
	__u64 flags = BPF_F_PSEUDO_HDR | (p->v6 ? cfg_csum_v6 : 0);

	if (p->t.proto == IPPROTO_UDP)
		flags |= BPF_F_MARK_MANGLED_0;
	/* ICMP of IPv4 has no pseudo header (RFC 792) */
	if (p->t.proto != IPPROTO_ICMP && HAS_L4(p) && delta &&
	    bpf_l4_csum_replace(skb, l4_check_offset(p), 0, delta, flags))
		return DROP(DROP_REWRITE);
	if ((to->sport != p->t.sport || to->dport != p->t.dport) && !IS_LATER(p) &&
	    rewrite_ports(skb, p, to))
		return DROP(DROP_REWRITE);
	if (p->v6 ? rewrite_v6(skb, p, to, hops) : rewrite_v4(skb, p, to, hops, delta))
		return DROP(DROP_REWRITE);
	return 0;
}

#endif
