/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a packet says of itself, copied out so that no pointer into it is kept. */
#ifndef EBNET_PACKET_H
#define EBNET_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "addr.h"

#define IP_MORE_OR_OFFSET 0x3fff /* more-fragments flag and fragment offset */
#define IP_MAX_HEADER 60

/*
 * A global function: the verifier checks it once, by itself, and not once for
 * each state of its callers, which makes loading six times as fast. For all that
 * the verifier knows, the pointers that it is given may be NULL.
 */
#define CHECKED_ALONE __noinline

/* Where TCP keeps its flags, and the ones that matter here. */
#define TCP_FLAGS_OFFSET 13
enum tcp_flag {
	TCP_FIN = 1 << 0,
	TCP_SYN = 1 << 1,
	TCP_RST = 1 << 2,
	TCP_ACK = 1 << 4,
};

/* ICMP echo (RFC 792); linux/icmp.h drags in the C library. */
#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8
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
	__u8 ttl;
	__u8 tcp_flags; /* enum tcp_flag */
	bool reopens; /* its tuple's connection before is over: see flow_renew() */
	bool fragment; /* ports are unknown or not in every packet */
	bool ported; /* it has ports, or ICMP echo's identifier */
};

/* What functions of these programs return: a TC action, or a reason to drop. */
#define DROP_BASE 0x100
#define DROP(reason) (DROP_BASE + (reason))
#define PASS TC_ACT_UNSPEC /* the next program, and then the kernel, shall see it */

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

/* ICMP echo keeps its identifier in the place of the sender's port. */
static __always_inline void parse_echo(struct pkt *p, const struct icmp_echo *icmp)
{
	p->ported = true;
	if (icmp->type == ICMP_ECHO)
		p->t.sport = icmp->id;
	else if (icmp->type == ICMP_ECHOREPLY)
		p->t.dport = icmp->id;
	else
		p->ported = false;
}

/* Ports and flags. Returns the header's length, 0 where it is cut short. */
static __always_inline __u32 parse_l4(struct pkt *p, void *l4, void *end)
{
	if (p->t.proto == IPPROTO_TCP) {
		struct tcphdr *tcp = l4;

		if ((void *)(tcp + 1) > end)
			return 0;
		p->t.sport = tcp->source;
		p->t.dport = tcp->dest;
		p->tcp_flags = ((__u8 *)tcp)[TCP_FLAGS_OFFSET];
		p->ported = true;
		return tcp->doff * 4;
	}
	if (p->t.proto == IPPROTO_UDP) {
		struct udphdr *udp = l4;

		if ((void *)(udp + 1) > end)
			return 0;
		p->t.sport = udp->source;
		p->t.dport = udp->dest;
		p->ported = true;
		return sizeof(*udp);
	}
	if (p->t.proto == IPPROTO_ICMP) {
		struct icmp_echo *icmp = l4;

		if ((void *)(icmp + 1) > end)
			return 0;
		parse_echo(p, icmp);
		return sizeof(*icmp);
	}
	return 0;
}

static __always_inline bool l4_is_parsed(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMP;
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
	p->fragment = ip->frag_off & bpf_htons(IP_MORE_OR_OFFSET);
	if (!p->fragment && l4_is_parsed(p->t.proto)) {
		l4len = parse_l4(p, (void *)ip + ihl, end);
		if (!l4len)
			return TOO_SHORT;
	}
	measure(skb, p, ihl + l4len, bpf_ntohs(ip->tot_len));
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
	int ret;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return NOT_OURS;
	ret = parse_v4(skb, p);
	if (ret != TOO_SHORT)
		return ret;
	bpf_skb_pull_data(skb, all < skb->len ? all : skb->len);
	ret = parse_v4(skb, p);
	return ret == TOO_SHORT ? DROP(DROP_INVALID) : ret;
}

#endif
