/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The host's own sockets: they go to the container itself, and no packet is translated. */
#ifndef EBNET_SOCK_H
#define EBNET_SOCK_H

#include "publish.h"

/* What a socket call names. */
struct peer {
	struct addr addr;
	__be16 port;
	__u8 proto;
	bool from_loopback; /* the socket is bound to a loopback address */
	bool connected; /* the socket has a peer; of UDP, an IPv6 one's v4-mapped is named by the kernel */
};

static __always_inline bool bound_to_loopback(const struct bpf_sock *sk)
{
	struct addr a;

	if (!sk)
		return false;
	a = sk->family == AF_INET ? addr_v4(sk->src_ip4)
				  : (struct addr){ { sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2],
						     sk->src_ip6[3] } };
	return addr_is_loopback(&a);
}

/* The families' fields of a socket call, as one address. */
static __always_inline struct peer peer_v4(const struct bpf_sock_addr *ctx)
{
	return (struct peer){
		.addr = addr_v4(ctx->user_ip4),
		.port = (__be16)ctx->user_port,
		.proto = ctx->protocol,
		.from_loopback = bound_to_loopback(ctx->sk),
		.connected = ctx->sk && ctx->sk->state == BPF_TCP_ESTABLISHED,
	};
}

static __always_inline struct peer peer_v6(const struct bpf_sock_addr *ctx)
{
	return (struct peer){
		.addr = { { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2],
			    ctx->user_ip6[3] } },
		.port = (__be16)ctx->user_port,
		.proto = ctx->protocol,
		.from_loopback = bound_to_loopback(ctx->sk),
		.connected = ctx->sk && ctx->sk->state == BPF_TCP_ESTABLISHED,
	};
}

static __always_inline void set_peer_v4(struct bpf_sock_addr *ctx, const struct peer *peer)
{
	ctx->user_ip4 = peer->addr.w[3];
	ctx->user_port = peer->port;
}

static __always_inline void set_peer_v6(struct bpf_sock_addr *ctx, const struct peer *peer)
{
	ctx->user_ip6[0] = peer->addr.w[0];
	ctx->user_ip6[1] = peer->addr.w[1];
	ctx->user_ip6[2] = peer->addr.w[2];
	ctx->user_ip6[3] = peer->addr.w[3];
	ctx->user_port = peer->port;
}

/* Is it a socket of the network namespace that the agent works in? */
static __always_inline bool sock_is_hosts(__u64 netns_cookie)
{
	return netns_cookie == cfg_netns_cookie;
}

static __always_inline bool addr_is_hosts(const struct addr *a)
{
	return addr_is_loopback(a) || addr_is_any(a) || bpf_map_lookup_elem(&host_addrs, a);
}

/* Remembers where a socket had asked to go; written only where it is news. */
static __always_inline void remember_origin(__u64 cookie, const struct peer *now,
					    const struct peer *asked)
{
	struct origin_key key = { .cookie = cookie, .addr = now->addr, .port = now->port };
	struct origin val = { .addr = asked->addr, .port = asked->port };
	struct origin *have = bpf_map_lookup_elem(&origins, &key);

	if (have && have->port == val.port && addr_equal(&have->addr, &val.addr))
		return;
	bpf_map_update_elem(&origins, &key, &val, BPF_ANY);
}

/* A UDP socket talks to a container by its own address, after it has used a published port of it. */
static __always_inline void forget_origin(__u64 cookie, const struct peer *peer)
{
	struct origin_key key = { .cookie = cookie, .addr = peer->addr, .port = peer->port };

	if (peer->proto == IPPROTO_UDP && !peer->connected && bpf_map_lookup_elem(&origins, &key))
		bpf_map_delete_elem(&origins, &key);
}

/* What becomes of a call that names a peer. */
enum send_verdict {
	STAYS,
	GOES, /* to a container */
	REFUSED,
};

/*
 * Turns a published port of this host into the container's. It is left where
 * the call may not change families: the kernel refuses an IPv6 datagram that
 * becomes an IPv4 one on its way. No container would believe a packet from a
 * loopback address: a socket that is bound to one is told at once.
 */
static __always_inline enum send_verdict go_to_container(__u64 cookie, struct peer *peer,
							 bool across_families)
{
	struct publish *pub = NULL;
	struct peer asked = *peer;

	if (addr_is_hosts(&peer->addr))
		pub = publish_named(&peer->addr, peer->port, peer->proto);
	if (!pub || addr_is_any(&pub->addr) ||
	    (!across_families && addr_is_v4(&peer->addr) != addr_is_v4(&pub->addr))) {
		forget_origin(cookie, peer);
		return STAYS;
	}
	if (peer->from_loopback)
		return REFUSED;
	peer->addr = pub->addr;
	peer->port = pub->port;
	remember_origin(cookie, peer, &asked);
	return GOES;
}

/* Turns the container's address back into the one that was asked. */
static __always_inline bool show_origin(__u64 cookie, struct peer *peer)
{
	struct origin_key key = { .cookie = cookie, .addr = peer->addr, .port = peer->port };
	struct origin *o = bpf_map_lookup_elem(&origins, &key);

	if (!o)
		return false;
	peer->addr = o->addr;
	peer->port = o->port;
	return true;
}

#endif
