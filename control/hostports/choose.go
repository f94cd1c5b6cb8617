package hostports

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Range is a range of ports, both ends included.
type Range struct{ From, To uint16 }

// DefaultRange is where ports are chosen when nobody says anything else: IANA's
// dynamic ports, but the very first, as Docker does.
func DefaultRange() Range { return Range{49153, 65535} }

// ParseRange reads two numbers as in net.ipv4.ip_local_port_range. It wraps ErrBadPort.
func ParseRange(s string) (Range, error) {
	fields := strings.Fields(s)
	if len(fields) != 2 {
		return Range{}, fmt.Errorf("parse port range %q: %w: two numbers wanted", s, ErrBadPort)
	}
	from, err := strconv.ParseUint(fields[0], 10, 16)
	if err != nil {
		return Range{}, fmt.Errorf("parse port range %q: %w: %w", s, ErrBadPort, err)
	}
	to, err := strconv.ParseUint(fields[1], 10, 16)
	if err != nil {
		return Range{}, fmt.Errorf("parse port range %q: %w: %w", s, ErrBadPort, err)
	}
	if from == 0 || from > to {
		return Range{}, fmt.Errorf("parse port range %q: %w: reversed or from 0", s, ErrBadPort)
	}
	return Range{uint16(from), uint16(to)}, nil
}

// Choose reserves n consecutive ports for owner, the same ones on all of the addresses,
// and returns the first. It passes over ports that are published on an address that overlaps,
// since one would hide the other, and those that probe (nil: do not ask) says
// are in use (ErrInUse); any other error of probe ends the search. Like Docker
// it goes on behind the last port chosen, so that a port just released is not
// handed to somebody else at once. It wraps ErrNoPort or ErrBadPort.
func (r *Registry) Choose(owner, proto string, hosts []netip.Addr, n int, probe func(from, to uint16) error) (uint16, error) {
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("choose %d ports: %w: not a number of ports", n, ErrBadPort)
	}
	var at []place
	for _, host := range hosts {
		if err := check(proto, host, 1, 1); err != nil {
			return 0, fmt.Errorf("choose port: %w", err)
		}
		at = append(at, place{proto, host.Unmap()})
	}
	for _, rng := range r.ranges {
		from, err := r.chooseIn(rng, at, n, probe)
		if err != nil {
			return 0, err
		}
		if from == 0 {
			continue
		}
		to := from + uint16(n-1)
		for _, p := range at {
			if err := r.Reserve(owner, proto, p.host, from, to); err != nil {
				return 0, err // it cannot be: none of them is held
			}
		}
		r.next[at[0]] = to + 1 // 0 behind the last: the search begins anew
		return from, nil
	}
	return 0, fmt.Errorf("choose %d %s ports on %s: %w", n, proto, hosts[0], ErrNoPort)
}

// chooseIn returns the first port of n free ones, 0 if the range has none.
func (r *Registry) chooseIn(rng Range, at []place, n int, probe func(from, to uint16) error) (uint16, error) {
	first, last := int(rng.From), int(rng.To)-n+1
	start := int(r.next[at[0]])
	if start < first || start > last {
		start = first
	}
	// From start to the end, then from the beginning to start.
	for _, part := range [2][2]int{{start, last}, {first, min(start-1, last)}} {
		for from := part[0]; from <= part[1]; {
			bad, err := r.firstBad(at, from, from+n-1, probe)
			if err != nil {
				return 0, err
			}
			if bad == 0 {
				return uint16(from), nil
			}
			from = bad + 1 // no run that holds the bad port will do
		}
	}
	return 0, nil
}

// firstBad returns a port of from..to that cannot be chosen, 0 if all can.
func (r *Registry) firstBad(at []place, from, to int, probe func(from, to uint16) error) (int, error) {
	for port := to; port >= from; port-- { // the last bad one, to skip the most
		if slices.ContainsFunc(at, func(p place) bool { return r.hidden(p, uint16(port)) }) {
			return port, nil
		}
	}
	if probe == nil {
		return 0, nil
	}
	err := probe(uint16(from), uint16(to))
	var inUse *InUseError
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &inUse) && int(inUse.Port) >= from && int(inUse.Port) <= to:
		return int(inUse.Port), nil
	default:
		return 0, fmt.Errorf("choose port: %w", err)
	}
}

// hidden says whether the port is published where it would meet one of at.
func (r *Registry) hidden(at place, port uint16) bool {
	_, held := r.held[at][port]
	return held || r.overlaps(at, port)
}
