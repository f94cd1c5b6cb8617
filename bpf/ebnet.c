//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/types.h"
#include "lib/maps.h"

/* Cookie of the network namespace whose sockets the cgroup programs serve. */
volatile const __u64 cfg_netns_cookie;

#include "lib/sock.h"
#include "lib/sweep.h"
#include "lib/ways.h"

char _license[] SEC("license") = "Dual BSD/GPL";

/* tc ingress of an endpoint's host-side veth: what a container sends. */
SEC("tc")
int ebnet_from_ctr(struct __sk_buff *skb)
{
	struct pkt p = {};
	int ret = is_tagged(skb) ? DROP(DROP_UNSUPPORTED) : parse(skb, &p);

	if (ret == NOT_OURS)
		return PASS;
	return verdict(&p, DIR_EGRESS, ret == PARSED ? from_ctr(skb, &p) : ret);
}

/* tc ingress of a network's bridge: what containers have the host do. */
SEC("tc")
int ebnet_from_br(struct __sk_buff *skb)
{
	struct pkt p = {};
	int ret = is_tagged(skb) ? DROP(DROP_UNSUPPORTED) : parse(skb, &p);

	if (ret == NOT_OURS)
		return PASS;
	return verdict(&p, DIR_EGRESS, ret == PARSED ? from_bridge(&p) : ret);
}

/* tc egress of a network's bridge: what the host sends to containers, or forwards. */
SEC("tc")
int ebnet_to_br(struct __sk_buff *skb)
{
	struct pkt p = {};

	if (!skb->ingress_ifindex || parse(skb, &p) != PARSED)
		return PASS;
	return verdict(&p, DIR_INGRESS, to_bridge(skb, &p));
}

/* tc ingress of an uplink: the outside world talks to us. */
SEC("tc")
int ebnet_from_ext(struct __sk_buff *skb)
{
	struct pkt p = {};
	int ret;

	if (skb->pkt_type != PACKET_HOST)
		return PASS;
	ret = untag(skb);
	if (ret == NOT_OURS || (ret == PARSED && parse(skb, &p) != PARSED))
		return PASS;
	return verdict(&p, DIR_INGRESS, ret == PARSED ? from_ext(skb, &p) : ret);
}

/*
 * tc egress of an uplink: the host's own packets leave, and keep clear of
 * containers' flows. What came in by another device is not the host's own, but may be
 * what a container's flow has handed to the kernel.
 */
SEC("tc")
int ebnet_to_ext(struct __sk_buff *skb)
{
	struct pkt p = {};

	if (skb->ingress_ifindex && !was_handed_over(skb))
		return PASS;
	if (parse(skb, &p) != PARSED)
		return PASS;
	return verdict(&p, DIR_EGRESS, skb->ingress_ifindex ? forwarded(skb, &p) : to_ext(skb, &p));
}

/* Both families' calls that name a peer to send to; across: it may become one of the other family. */
#define SEND_PROGRAM(name, family, across)                                                         \
	int name(struct bpf_sock_addr *ctx)                                                        \
	{                                                                                          \
		struct peer peer = peer_##family(ctx);                                             \
		enum send_verdict verdict;                                                         \
                                                                                                   \
		if (!sock_is_hosts(bpf_get_netns_cookie(ctx)))                                     \
			return 1;                                                                  \
		verdict = go_to_container(bpf_get_socket_cookie(ctx), &peer, across);              \
		if (verdict == GOES)                                                               \
			set_peer_##family(ctx, &peer);                                             \
		if (verdict != REFUSED)                                                            \
			return 1;                                                                  \
		bpf_set_retval(-ECONNREFUSED);                                                     \
		return 0;                                                                          \
	}

/* Both families' calls that tell who the peer is. */
#define SHOW_PROGRAM(name, family)                                                                 \
	int name(struct bpf_sock_addr *ctx)                                                        \
	{                                                                                          \
		struct peer peer = peer_##family(ctx);                                             \
                                                                                                   \
		if (sock_is_hosts(bpf_get_netns_cookie(ctx)) &&                                    \
		    show_origin(bpf_get_socket_cookie(ctx), &peer))                                \
			set_peer_##family(ctx, &peer);                                             \
		return 1;                                                                          \
	}

/* cgroup2 root, connect4: a process of the host connects over IPv4. */
SEC("cgroup/connect4")
SEND_PROGRAM(ebnet_connect4, v4, true)

/* cgroup2 root, connect6. */
SEC("cgroup/connect6")
SEND_PROGRAM(ebnet_connect6, v6, true)

/* cgroup2 root, sendmsg4: a process of the host sends UDP without connecting. */
SEC("cgroup/sendmsg4")
SEND_PROGRAM(ebnet_sendmsg4, v4, true)

/* cgroup2 root, sendmsg6. */
SEC("cgroup/sendmsg6")
SEND_PROGRAM(ebnet_sendmsg6, v6, false)

/* cgroup2 root, recvmsg4: an answer shows the address that was asked. */
SEC("cgroup/recvmsg4")
SHOW_PROGRAM(ebnet_recvmsg4, v4)

/* cgroup2 root, recvmsg6. */
SEC("cgroup/recvmsg6")
SHOW_PROGRAM(ebnet_recvmsg6, v6)

/* cgroup2 root, getpeername4: the peer is the address that was asked. */
SEC("cgroup/getpeername4")
SHOW_PROGRAM(ebnet_getpeer4, v4)

/* cgroup2 root, getpeername6. */
SEC("cgroup/getpeername6")
SHOW_PROGRAM(ebnet_getpeer6, v6)

/* Refuses a port that ebnet publishes to who binds it later. */
static __always_inline int may_bind(struct bpf_sock *sk, const struct addr *a)
{
	if (!sock_is_hosts(bpf_get_netns_cookie(sk)) ||
	    !port_is_reserved(a, bpf_htons((__u16)sk->src_port), sk->protocol))
		return 1;
	bpf_set_retval(-EADDRINUSE);
	return 0;
}

/* cgroup2 root, post_bind4: a published port is ebnet's. */
SEC("cgroup/post_bind4")
int ebnet_bind4(struct bpf_sock *sk)
{
	struct addr a = addr_v4(sk->src_ip4);

	return may_bind(sk, &a);
}

/* cgroup2 root, post_bind6. */
SEC("cgroup/post_bind6")
int ebnet_bind6(struct bpf_sock *sk)
{
	struct addr a = { { sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3] } };

	return may_bind(sk, &a);
}

/* Run by the agent: ends flows that have aged or are asked to end. */
SEC("syscall")
int ebnet_sweep(struct sweep *ctx)
{
	struct sweep_state s = { .ask = ctx, .now = bpf_ktime_get_ns() >> TICK_SHIFT };
	struct half_open *h = half_open_get();
	__u64 spilled = h ? h->spilled : 0;

	s.cfg = settings_get();
	if (!s.cfg)
		return -ENOENT;
	bpf_for_each_map_elem(&flows, sweep_half, &s, 0);
	bpf_for_each_map_elem(&flows_new, sweep_half, &s, 0);
	sweep_half_open(&s, spilled);
	return 0;
}
