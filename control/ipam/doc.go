// Package ipam gives out subnets and addresses. It only computes: who asks what
// the host uses, and who remembers what was given out, is the caller.
//
//	DefaultPools() []Pool
//	ChooseSubnet(r, pools, used) (netip.Prefix, error)   ErrNoSubnet
//	ChooseULA(r, used) (netip.Prefix, error)             ErrNoSubnet
//	New(Config) (*Allocator, error)                      ErrSubnet, ErrOutside, ErrReserved
//	(*Allocator) Allocate(others ...) (netip.Addr, error) ErrFull
//	(*Allocator) Reserve(addr) error                     ErrTaken, ErrOutside, ErrReserved
//	(*Allocator) Release(addr)
//	(*Allocator) Cursor, SetCursor                       what to keep over a restart
//	(*Allocator) Gateway, Subnet, Range, Taken
//
// An Allocator starts empty: after a restart the caller reserves what its
// sandboxes hold and sets the cursor. It is not safe for concurrent use.
package ipam
