package hostports

import (
	"fmt"
	"net/netip"
)

// Registry is the one list of published host ports, whatever network or engine
// they belong to.
//
// The same port of the same address and protocol is published once. All
// addresses (0.0.0.0 or ::) count as one more address: a port of a specific
// address and the same port of all addresses live side by side, and for the
// specific address its own publish wins. That is the datapath's order of lookup.
type Registry struct {
	ranges []Range
	held   map[place]map[uint16]string // owner by port
	next   map[place]uint16            // behind the last port chosen
	count  map[portKey]int             // on how many addresses a port is published
}

type place struct {
	proto string
	host  netip.Addr
}

type portKey struct {
	proto string
	port  uint16
}

// New returns an empty registry that chooses ports from the given ranges, the
// first one first; without any from DefaultRange.
func New(ranges ...Range) *Registry {
	if len(ranges) == 0 {
		ranges = []Range{DefaultRange()}
	}
	return &Registry{
		ranges: ranges,
		held:   map[place]map[uint16]string{},
		next:   map[place]uint16{},
		count:  map[portKey]int{},
	}
}

// Reserve takes the ports from..to of the address for owner: all of them, or
// none and a *TakenError (ErrTaken) that names the first conflict.
func (r *Registry) Reserve(owner, proto string, host netip.Addr, from, to uint16) error {
	if err := check(proto, host, from, to); err != nil {
		return fmt.Errorf("reserve port: %w", err)
	}
	at := place{proto, host.Unmap()}
	for port := int(from); port <= int(to); port++ {
		if holder, held := r.held[at][uint16(port)]; held {
			return &TakenError{Proto: proto, Host: at.host, Port: uint16(port), Owner: holder}
		}
	}
	if r.held[at] == nil {
		r.held[at] = make(map[uint16]string, int(to)-int(from)+1)
	}
	for port := int(from); port <= int(to); port++ {
		r.held[at][uint16(port)] = owner
		r.count[portKey{proto, uint16(port)}]++
	}
	return nil
}

// Release gives back those of the ports that are held, whoever holds them.
func (r *Registry) Release(proto string, host netip.Addr, from, to uint16) {
	at := place{proto, host.Unmap()}
	for port := int(from); port <= int(to); port++ {
		if _, held := r.held[at][uint16(port)]; !held {
			continue
		}
		delete(r.held[at], uint16(port))
		key := portKey{proto, uint16(port)}
		if r.count[key]--; r.count[key] == 0 {
			delete(r.count, key)
		}
	}
	if len(r.held[at]) == 0 {
		delete(r.held, at)
	}
}

// Holder says who publishes a port of exactly this address.
func (r *Registry) Holder(proto string, host netip.Addr, port uint16) (owner string, ok bool) {
	owner, ok = r.held[place{proto, host.Unmap()}][port]
	return owner, ok
}

// Published says whether the port is published on another address that overlaps
// host: on all of them if host is one, on any one if host stands for all. What
// is published on host itself does not count; Holder knows that.
//
// To ebnet's program that refuses ports, those of either family are all the host's: who
// binds all addresses may mean both families, and [::1] is IPv4's, too, as connect() there
// is led to what is published for IPv4.
func (r *Registry) Published(proto string, host netip.Addr, port uint16) bool {
	at := place{proto, host.Unmap()}
	switch {
	case at.host.IsUnspecified():
		others := r.count[portKey{proto, port}]
		if _, own := r.held[at][port]; own {
			others--
		}
		return others > 0
	case at.host == netip.IPv6Loopback():
		if _, held := r.held[place{proto, netip.IPv4Unspecified()}][port]; held {
			return true
		}
	}
	return r.overlaps(at, port)
}

func (r *Registry) overlaps(at place, port uint16) bool {
	if r.count[portKey{at.proto, port}] == 0 {
		return false // nearly always, and without looking at each address
	}
	for other, ports := range r.held {
		if other == at || other.proto != at.proto || other.host.Is4() != at.host.Is4() {
			continue
		}
		if _, held := ports[port]; held && (other.host.IsUnspecified() || at.host.IsUnspecified()) {
			return true
		}
	}
	return false
}

// Count is how many ports are published; one on two addresses counts twice.
func (r *Registry) Count() int {
	n := 0
	for _, ports := range r.held {
		n += len(ports)
	}
	return n
}

func check(proto string, host netip.Addr, from, to uint16) error {
	switch {
	case proto != "tcp" && proto != "udp" && proto != "sctp":
		return fmt.Errorf("%w: unknown protocol %q", ErrBadPort, proto)
	case !host.IsValid():
		return fmt.Errorf("%w: no host address", ErrBadPort)
	case host.Zone() != "":
		return fmt.Errorf("%w: %s is an address of one device", ErrBadPort, host)
	case from == 0:
		return fmt.Errorf("%w: port 0", ErrBadPort)
	case from > to:
		return fmt.Errorf("%w: range %d-%d ends before it begins", ErrBadPort, from, to)
	}
	return nil
}
