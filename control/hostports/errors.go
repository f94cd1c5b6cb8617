package hostports

import (
	"errors"
	"fmt"
	"net/netip"
)

var (
	// ErrTaken says that ebnet publishes the port already. *TakenError matches it.
	ErrTaken = errors.New("port is published already")
	// ErrNoPort says that no run of free ports is long enough.
	ErrNoPort = errors.New("no free host port")
	// ErrInUse says that a process of the host holds the port. *InUseError matches it.
	ErrInUse = errors.New("port is in use")
	// ErrNotLocal says that the host does not own the address.
	ErrNotLocal = errors.New("address is not the host's")
	// ErrBadPort says that a protocol, an address or a range of ports makes no sense.
	ErrBadPort = errors.New("bad port")
)

// TakenError names who publishes a port already.
type TakenError struct {
	Proto string
	Host  netip.Addr
	Port  uint16
	Owner string
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%s is published already to %s", format(e.Host, e.Port, e.Proto), e.Owner)
}

// Is makes errors.Is match ErrTaken.
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

// InUseError names the process that holds a port of the host.
type InUseError struct {
	Proto   string
	Addr    netip.Addr // what the process is bound to; asked for was perhaps all addresses
	Port    uint16
	PID     int    // 0 if no process is to be seen: it is the kernel's, or in another PID namespace
	Process string // its name; empty with PID 0
}

func (e *InUseError) Error() string {
	where := format(e.Addr, e.Port, e.Proto)
	if e.PID == 0 {
		return where + " is in use on the host"
	}
	return fmt.Sprintf("%s is in use by process %d (%s)", where, e.PID, e.Process)
}

// Is makes errors.Is match ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

func format(addr netip.Addr, port uint16, proto string) string {
	return netip.AddrPortFrom(addr, port).String() + "/" + proto
}
