/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every map, each with one meaning. */
#ifndef EBNET_MAPS_H
#define EBNET_MAPS_H

#include <bpf/bpf_helpers.h>

#include "types.h"

/* Endpoints by address: one element for each address of an endpoint. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENDPOINTS * 2);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct addr);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

/* For each hash of an address whether an endpoint may have it: see endpoint.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct address_set);
} endpoint_bits SEC(".maps");

/* Endpoints by the ifindex of their host-side device. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct endpoint);
} devices SEC(".maps");

/* By endpoint.sandbox. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct sandbox);
} sandboxes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NETWORKS);
	__type(key, __u32);
	__type(value, struct network);
} networks SEC(".maps");

/* Published ports: one element for each port of a range. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct publish_key);
	__type(value, struct publish);
} publishes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PUBLISHES);
	__type(key, __u32);
	__type(value, struct publish_slot);
} publish_slots SEC(".maps");

/* The source lists of publishes, all in one. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, MAX_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix_key);
	__type(value, __u8);
} prefixes SEC(".maps");

/* Flows that a publish has had, by its slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PUBLISHES);
	__type(key, __u32);
	__type(value, __u64);
} publish_flows SEC(".maps");

/* How many publishes hold a port that no engine's socket holds, on whatever address:
 * what bind() and masquerade ask first. By protocol (TCP, UDP, SCTP) and port. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTED_PROTOS * 65536);
	__type(key, __u32);
	__type(value, __u32);
} reserved SEC(".maps");

/* The host's own addresses. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_HOST_ADDRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct addr);
	__type(value, __u32); /* enum host_addr_flag bits */
} host_addrs SEC(".maps");

/* Uplinks by ifindex. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_UPLINKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct uplink);
} uplinks SEC(".maps");

/* Link headers, by a hash of the neighbour and its device. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_NEXT_HOPS);
	__type(key, __u32);
	__type(value, struct next_hop);
} next_hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} config SEC(".maps");

/* Both halves of flows. Nothing but age, a flush or a dead generation removes one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_FLOW_HALVES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tuple);
	__type(value, struct flow);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct half_open);
} half_open SEC(".maps");

/* Half-open flows of other protocols, and of TCP beyond MAX_HALF_OPEN: the one table
 * that a flood can turn over. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_NEW_HALVES);
	__type(key, struct tuple);
	__type(value, struct flow);
} flows_new SEC(".maps");

/* Room for the flow that this CPU is making: programs run with bottom halves
 * off, so nothing else of ours runs meanwhile. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct draft);
} drafts SEC(".maps");

/* Datagrams whose first fragment has come. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_DATAGRAMS);
	__type(key, struct datagram);
	__type(value, struct first_fragment);
} fragments SEC(".maps");

/* Fragments that came before their first: see fragment.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_HELD);
	__type(key, __u32);
	__type(value, struct held_fragment);
} held SEC(".maps");

/* Sockets of the host that were sent to a container: where they had asked to go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_SOCK_ORIGINS);
	__type(key, struct origin_key);
	__type(value, struct origin);
} origins SEC(".maps");

/* By (network * DIRECTIONS + direction) * PATHS + path. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_NETWORKS * DIRECTIONS * PATHS);
	__type(key, __u32);
	__type(value, struct counter);
} packets SEC(".maps");

/* By slot. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MAX_ENDPOINTS);
	__type(key, __u32);
	__type(value, struct endpoint_counters);
} ep_counters SEC(".maps");

/* By reason * DIRECTIONS + direction. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_REASONS * DIRECTIONS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

/* By kind * FLOW_PROTOS + flow_proto. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_KINDS * FLOW_PROTOS);
	__type(key, __u32);
	__type(value, __u64);
} flows_created SEC(".maps");

/* By enum event. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENTS);
	__type(key, __u32);
	__type(value, __u64);
} events SEC(".maps");

#endif
