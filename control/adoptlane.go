package control

import (
	"sync"

	"github.com/ebnet/ebnet/control/netdev"
)

// lane is the short way by which a container's link gets what its first packet needs.
// Agent.ops is no part of it: whoever has that may wait for the kernel's lock of all
// devices, many times over while containers come and go, and a container does not wait.
// What the agent knows of its containers follows, from the same events, with Agent.ops
// held.
type lane struct {
	mu       sync.Mutex
	arrivals map[int]arrival // by ifindex, until the link's end is known
	events   []netdev.LinkEvent
	more     chan struct{} // there are events
}

// arrival is a link that has come by the lane.
type arrival struct {
	attached bool  // it has its program
	taken    bool  // whether it has is known with Agent.ops held
	gone     bool  // and its entry with it
	guest    guest // with the address that its entry has; not sure: none yet
	named    bool  // the rest of guest is known, too, and that it is this link's
}

func newLane() *lane { return &lane{arrivals: map[int]arrival{}, more: make(chan struct{}, 1)} }

// arrived is what the lane has done for a link.
func (l *lane) arrived(ifindex int) (a arrival, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, known = l.arrivals[ifindex]
	return a, known
}

// take is arrived for whoever sees to the link's program from now on.
func (l *lane) take(ifindex int) arrival {
	a, _ := l.arrived(ifindex)
	l.note(ifindex, func(a *arrival) { a.taken, a.attached = true, false })
	return a
}

// note changes what the lane knows of a link, unless that has gone meanwhile.
func (l *lane) note(ifindex int, change func(*arrival)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a, known := l.arrivals[ifindex]; known {
		change(&a)
		l.arrivals[ifindex] = a
	}
}

// begin makes a link known, and says whether it was not.
func (l *lane) begin(ifindex int) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, known := l.arrivals[ifindex]
	if !known {
		l.arrivals[ifindex] = arrival{}
	}
	return !known
}

// forget ends a link.
func (l *lane) forget(ifindex int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.arrivals, ifindex)
}

// taken says whether another link of a network has come with one of the addresses.
func (l *lane) taken(ifindex int, network string, g guest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, a := range l.arrivals {
		if other != ifindex && a.guest.sure && a.guest.network == network && a.guest.addrs.meets(g.addrs) {
			return true
		}
	}
	return false
}

// push puts an event into the queue of those that wait for Agent.ops.
func (l *lane) push(e netdev.LinkEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// pop takes all events out of the queue.
func (l *lane) pop() []netdev.LinkEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.events
	l.events = nil
	return all
}
