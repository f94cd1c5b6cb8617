// Package netdev makes and reads what the kernel's network stack has: network
// namespaces, bridges, veth pairs, addresses, routes and sysctls.
//
// It speaks netlink and knows nothing of ebnet's own objects or of BPF. Every
// function acts in the network namespace of the calling thread unless it takes
// the path of one. Functions that ensure something change the kernel only where
// it differs: a second call makes no netlink event, so that a watcher that
// repairs what it sees does not wake itself.
package netdev
