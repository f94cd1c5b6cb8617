package ipam

import "errors"

var (
	// ErrNoSubnet says that no subnet of the pools is free.
	ErrNoSubnet = errors.New("no free subnet in the pools")
	// ErrSubnet says that a prefix cannot be the subnet of a network.
	ErrSubnet = errors.New("unusable subnet")
	// ErrFull says that every address that may be given out is taken.
	ErrFull = errors.New("no free address")
	// ErrTaken says that somebody holds the address.
	ErrTaken = errors.New("address is taken")
	// ErrOutside says that an address or range is not in the subnet.
	ErrOutside = errors.New("outside of the subnet")
	// ErrReserved says that the address is the subnet's network, broadcast or
	// gateway address, which no sandbox can have.
	ErrReserved = errors.New("address is reserved")
)
