//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* The device that all goes to, and the link header that it goes out with. */
volatile const __u32 cfg_to;
volatile const __u8 cfg_header[ETH_HLEN];

char _license[] SEC("license") = "Dual BSD/GPL";

/* tc ingress: whatever is IPv4 crosses into the peer of a veth. */
SEC("tc")
int null_cross(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC;
	/* as ebnet does for kernels before 6.15 */
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return bpf_redirect_peer(cfg_to, 0);
}

/* tc ingress: whatever is IPv4 leaves by a device. */
SEC("tc")
int null_leave(struct __sk_buff *skb)
{
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC;
	if (bpf_skb_store_bytes(skb, 0, (const void *)cfg_header, ETH_HLEN, 0))
		return TC_ACT_SHOT;
	return bpf_redirect(cfg_to, 0);
}
