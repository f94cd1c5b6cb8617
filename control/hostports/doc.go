// Package hostports knows which ports of the host are published, and finds out
// whether a process of the host holds one.
//
// The registry is memory only and does no I/O:
//
//	New(ranges ...Range) *Registry                    where Choose looks, in this order
//	ParseRange(string) (Range, error)                 of net.ipv4.ip_local_port_range
//	(*Registry) Reserve(owner, proto, host, from, to) error            ErrTaken (*TakenError)
//	(*Registry) Choose(owner, proto, host, n, probe) (from, error)     ErrNoPort
//	(*Registry) Release(proto, host, from, to)
//	(*Registry) Holder(proto, host, port) (owner, ok)
//	(*Registry) Published(proto, host, port) bool      on another address that overlaps
//	(*Registry) Count() int
//
// The probe asks the kernel, in the network namespace of the calling thread:
//
//	Prober{Published}.Probe(proto, host, from, to) error       ErrInUse (*InUseError), ErrNotLocal
//	Probe(proto, host, from, to) error                         the same for a host that publishes nothing
//
// It does not matter whether a port is reserved before it is probed or after.
//
// Ports are inclusive at both ends. A Registry is not safe for concurrent use.
package hostports
