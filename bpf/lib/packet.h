/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a packet says of itself, copied out so that no pointer into it is kept. */
#ifndef EBNET_PACKET_H
#define EBNET_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "addr.h"

#define IP_MORE_OR_OFFSET 0x3fff /* more-fragments flag and fragment offset */
#define IP_FRAGMENT_OFFSET 0x1fff
#define IP_DONT_FRAGMENT 0x4000
#define IP_MAX_HEADER 60

/*
 * A global function: the verifier checks it once, by itself, and not once for
 * each state of its callers, which makes loading six times as fast. For all that
 * the verifier knows, the pointers that it is given may be NULL.
 */
#define CHECKED_ALONE __noinline

/* Is it a fragment that is not the first? It has no transport header. */
#define IS_LATER(p) ((p)->frag & bpf_htons(IP_FRAGMENT_OFFSET))

/* Has it a transport header that a translation changes? */
#define HAS_L4(p) (!IS_LATER(p) && !(p)->portless)

/* Where TCP keeps its flags, and the ones that matter here. */
#define TCP_FLAGS_OFFSET 13
enum tcp_flag {
	TCP_FIN = 1 << 0,
	TCP_SYN = 1 << 1,
	TCP_RST = 1 << 2,
	TCP_ACK = 1 << 4,
};

/* ICMP echo (RFC 792, RFC 4443); linux/icmp.h drags in the C library. */
#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8
#define ICMPV6_ECHO 128
#define ICMPV6_ECHOREPLY 129
#define ICMPV6_MLD_QUERY 130 /* and what else a link needs of ICMPv6: RFC 2710, RFC 4861 */
#define ICMPV6_ROUTER_ADVERTISEMENT 134
#define ICMPV6_REDIRECT 137
#define ICMPV6_MLD2_REPORT 143 /* RFC 3810 */
struct icmp_echo {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 id;
	__be16 sequence;
};

struct pkt {
	struct tuple t;
	__u32 segs; /* packets on the wire */
	__u32 bytes; /* IP lengths on the wire */
	__u16 l4; /* offset of the transport header */
	__sum16 ip_check;
	__be32 id; /* of a fragment's datagram */
	__be16 frag; /* flag and offset as in IPv4, of either family; 0: no fragment */
	__u8 ttl;
	__u8 tcp_flags; /* enum tcp_flag */
	__u8 icmp_type;
	bool v6;
	bool reopens; /* its tuple's connection before is over: see flow_renew() */
	bool ported; /* it has ports, or ICMP echo's identifier, or needs none */
	bool portless; /* of a protocol that is told apart by its addresses alone */
	bool error; /* of ICMP, about a packet that it quotes */
};

/* What functions of these programs return: a TC action, or a reason to drop. */
#define DROP_BASE 0x100
#define DROP(reason) (DROP_BASE + (reason))
#define PASS TC_ACT_UNSPEC /* the next program, and then the kernel, shall see it */

/* It is dealt with, and no more to be seen; not a drop. tcx knows no TC_ACT_STOLEN. */
#define CONSUMED TC_ACT_SHOT

/* A flow was made for this packet, which now goes along it. */
#define MADE 0x80

/* What parse() says beside reasons to drop. */
#define PARSED 0
#define NOT_OURS 1 /* not for ebnet */
#define TOO_SHORT 2 /* the headers are not all in the linear part */

/* A new TCP connection's first packet. */
static __always_inline bool tcp_opens(const struct pkt *p)
{
	return (p->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN;
}

/* Can this packet begin a flow? */
static __always_inline bool may_open(const struct pkt *p)
{
	return p->t.proto != IPPROTO_TCP || tcp_opens(p);
}

/* Segments of an offload packet and their lengths; hdr is from the IP header on. */
static __always_inline void measure(struct __sk_buff *skb, struct pkt *p, __u32 hdr, __u32 ip_len)
{
	__u32 payload = skb->len - ETH_HLEN - hdr;

	p->segs = 1;
	p->bytes = ip_len;
	if (!skb->gso_size)
		return;
	p->segs = skb->gso_segs ?: (payload + skb->gso_size - 1) / skb->gso_size;
	p->bytes = payload + p->segs * hdr;
}

/* ICMP of the packet's own family; that of the other is a protocol like any unknown. */
static __always_inline bool is_icmp(const struct pkt *p)
{
	return p->t.proto == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

/* Unreachable, time exceeded and parameter problem; in IPv6 those and packet too big. */
static __always_inline bool is_icmp_error(const struct pkt *p, __u8 type)
{
	if (p->v6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 11 || type == 12;
}

/* ICMP echo keeps its identifier in the place of the sender's port. */
static __always_inline void parse_echo(struct pkt *p, const struct icmp_echo *icmp)
{
	p->ported = true;
	if (icmp->type == (p->v6 ? ICMPV6_ECHO : ICMP_ECHO))
		p->t.sport = icmp->id;
	else if (icmp->type == (p->v6 ? ICMPV6_ECHOREPLY : ICMP_ECHOREPLY))
		p->t.dport = icmp->id;
	else
		p->ported = false;
	p->icmp_type = icmp->type;
	p->error = is_icmp_error(p, icmp->type);
}

/* The ports of TCP, UDP and what is like them. */
static __always_inline void parse_ports(struct pkt *p, const void *l4)
{
	const __be16 *ports = l4;

	p->t.sport = ports[0];
	p->t.dport = ports[1];
	p->ported = true;
}

/* Ports and flags. Returns the header's length, 0 where it is cut short. */
static __always_inline __u32 parse_l4(struct pkt *p, void *l4, void *end)
{
	if (p->t.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = l4;

		if ((void *)(tcp + 1) > end)
			return 0;
		parse_ports(p, tcp);
		p->tcp_flags = ((__u8 *)tcp)[TCP_FLAGS_OFFSET];
		return tcp->doff * 4;
	}
	if (p->t.proto == IPPROTO_UDP) {
		struct udphdr *udp = l4;

		if ((void *)(udp + 1) > end)
			return 0;
		parse_ports(p, udp);
		return sizeof(*udp);
	}
	if (is_icmp(p)) {
		struct icmp_echo *icmp = l4;

		if ((void *)(icmp + 1) > end)
			return 0;
		parse_echo(p, icmp);
		return sizeof(*icmp);
	}
	return 0;
}

static __always_inline bool l4_is_parsed(const struct pkt *p)
{
	return p->t.proto == IPPROTO_TCP || p->t.proto == IPPROTO_UDP || is_icmp(p);
}

/* Protocols whose checksum covers the addresses: they do not survive a translation. */
#define IPPROTO_MOBILITY 135 /* RFC 6275 */
#define IPPROTO_HIP 139 /* RFC 7401 */

/*
 * GRE, ESP, SCTP and all that is not known better: its addresses can be translated, and
 * nothing else has to be. SCTP's checksum does not cover addresses (RFC 9260).
 */
static __always_inline bool is_portless(__u8 proto)
{
	return proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_ICMP &&
	       proto != IPPROTO_ICMPV6 && proto != IPPROTO_IGMP && proto != IPPROTO_DCCP &&
	       proto != IPPROTO_UDPLITE && proto != IPPROTO_NONE && proto != IPPROTO_MOBILITY &&
	       proto != IPPROTO_HIP;
}

/* Returns PARSED, TOO_SHORT or a reason to drop. */
static __noinline int parse_v4(struct __sk_buff *skb, struct pkt *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__u32 ihl, l4len = 0;

	if ((void *)(ip + 1) > end)
		return TOO_SHORT;
	if (ip->version != 4 || ip->ihl < 5)
		return DROP(DROP_INVALID);
	ihl = ip->ihl * 4;
	p->t.src = addr_v4(ip->saddr);
	p->t.dst = addr_v4(ip->daddr);
	p->t.proto = ip->protocol;
	p->ttl = ip->ttl;
	p->ip_check = ip->check;
	p->l4 = ETH_HLEN + ihl;
	p->frag = ip->frag_off & bpf_htons(IP_MORE_OR_OFFSET);
	p->id = ip->id;
	if (!l4_is_parsed(p)) {
		p->ported = p->portless = is_portless(p->t.proto);
	} else if (!IS_LATER(p)) {
		l4len = parse_l4(p, (void *)ip + ihl, end);
		if (!l4len)
			return TOO_SHORT;
	}
	measure(skb, p, ihl + l4len, bpf_ntohs(ip->tot_len));
	return PARSED;
}

/* Extension headers (RFC 8200) that are walked over; a packet with more of them is dropped. */
#define MAX_EXTENSIONS 6

/* IPv6 has the offset first, then two unused bits and the flag. */
static __always_inline __be16 frag_of_v6(__be16 fragment)
{
	__u16 f = bpf_ntohs(fragment);

	return bpf_htons(f >> 3 | (f & 1) << 13);
}

struct ip6_extension {
	__u8 next;
	__u8 length; /* in 8 bytes, less the first 8 */
	__be16 fragment; /* of a fragment header, as what follows */
	__be32 id;
};

static __always_inline bool is_extension(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_FRAGMENT;
}

/* Walks over the extension headers, from offset on. Returns PARSED or a reason to drop. */
static __noinline int skip_extensions(struct __sk_buff *skb, struct pkt *p)
{
	struct ip6_extension ext;
	int i;

	for (i = 0; i < MAX_EXTENSIONS && is_extension(p->t.proto); i++) {
		if (bpf_skb_load_bytes(skb, p->l4, &ext, sizeof(ext)))
			return DROP(DROP_INVALID);
		if (p->t.proto == IPPROTO_FRAGMENT) {
			p->frag = frag_of_v6(ext.fragment);
			p->id = ext.id;
			p->l4 += 8;
		} else {
			p->l4 += (ext.length + 1) * 8;
		}
		p->t.proto = ext.next;
	}
	return is_extension(p->t.proto) ? DROP(DROP_UNSUPPORTED) : PARSED;
}

/* The transport header behind extension headers. Returns its length, 0 where it is cut short. */
static __always_inline __u32 parse_far_l4(struct __sk_buff *skb, struct pkt *p)
{
	__u8 l4[sizeof(struct tcphdr)] = {};
	__u32 need = p->t.proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);

	if (bpf_skb_load_bytes(skb, p->l4, l4, need))
		return 0;
	return parse_l4(p, l4, l4 + sizeof(l4));
}

/* Returns PARSED, TOO_SHORT or a reason to drop. */
static __noinline int parse_v6(struct __sk_buff *skb, struct pkt *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip = data + ETH_HLEN;
	__u32 ip_len, l4len;
	int err;

	if ((void *)(ip + 1) > end)
		return TOO_SHORT;
	if (ip->version != 6)
		return DROP(DROP_INVALID);
	p->v6 = true;
	__builtin_memcpy(&p->t.src, &ip->saddr, sizeof(p->t.src));
	__builtin_memcpy(&p->t.dst, &ip->daddr, sizeof(p->t.dst));
	/* no such address is on any wire (RFC 4291), and here it would be IPv4's */
	if (addr_is_v4(&p->t.src) || addr_is_v4(&p->t.dst))
		return DROP(DROP_INVALID);
	p->t.proto = ip->nexthdr;
	p->ttl = ip->hop_limit;
	p->l4 = ETH_HLEN + sizeof(*ip);
	ip_len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	measure(skb, p, sizeof(*ip), ip_len);
	if (is_extension(p->t.proto)) {
		err = skip_extensions(skb, p);
		if (err != PARSED)
			return err;
		if (!l4_is_parsed(p))
			p->ported = p->portless = is_portless(p->t.proto);
		if (IS_LATER(p) || !l4_is_parsed(p))
			return PARSED;
		l4len = parse_far_l4(skb, p);
		if (!l4len)
			return DROP(DROP_INVALID);
	} else {
		p->ported = p->portless = is_portless(p->t.proto);
		if (!l4_is_parsed(p))
			return PARSED;
		l4len = parse_l4(p, ip + 1, end);
		if (!l4len)
			return TOO_SHORT;
	}
	measure(skb, p, p->l4 - ETH_HLEN + l4len, ip_len);
	return PARSED;
}

/* IEEE 802.1Q */
#define VLAN_ID_MASK 0x0fff
#define MAX_TAGS 2

/* Is the frame tagged? What the kernel has not taken out yet of two tags is in the packet. */
static __always_inline bool is_tagged(const struct __sk_buff *skb)
{
	return skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q) ||
	       skb->protocol == bpf_htons(ETH_P_8021AD);
}

/*
 * Takes priority tags off, which name no VLAN: the kernel takes such a frame for
 * an untagged one, and so must we. Returns PARSED for a frame without tags,
 * NOT_OURS for one of a VLAN, or a reason to drop.
 */
static __always_inline int untag(struct __sk_buff *skb)
{
	int i;

	for (i = 0; i < MAX_TAGS && skb->vlan_present; i++) {
		if (skb->vlan_tci & VLAN_ID_MASK)
			return NOT_OURS;
		if (bpf_skb_vlan_pop(skb))
			return DROP(DROP_INVALID);
	}
	return is_tagged(skb) ? DROP(DROP_UNSUPPORTED) : PARSED;
}

/* Reads the headers; p is zero before. Returns PARSED, NOT_OURS or a reason to drop. */
static __always_inline int parse(struct __sk_buff *skb, struct pkt *p)
{
	__u32 all = ETH_HLEN + IP_MAX_HEADER + sizeof(struct tcphdr);
	bool v6 = skb->protocol == bpf_htons(ETH_P_IPV6);
	int ret;

	if (!v6 && skb->protocol != bpf_htons(ETH_P_IP))
		return NOT_OURS;
	ret = v6 ? parse_v6(skb, p) : parse_v4(skb, p);
	if (ret != TOO_SHORT)
		return ret;
	bpf_skb_pull_data(skb, all < skb->len ? all : skb->len);
	ret = v6 ? parse_v6(skb, p) : parse_v4(skb, p);
	return ret == TOO_SHORT ? DROP(DROP_INVALID) : ret;
}

#endif
