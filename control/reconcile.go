package control

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

// fibLink is the private device through which programs ask for routes while the
// host's own forwarding stays off.
const fibLink = "ebnet-fib0"

// ReconcileStats sum up the reconciles since the agent's start.
type ReconcileStats struct {
	Errors  uint64             // those that left something wrong
	Count   uint64             // all
	Seconds float64            // that they took together
	Buckets map[float64]uint64 // how many took at most so many seconds
}

// add counts one reconcile.
func (s *ReconcileStats) add(took time.Duration, failed bool) {
	s.Count++
	s.Seconds += took.Seconds()
	if failed {
		s.Errors++
	}
	if s.Buckets == nil {
		s.Buckets = map[float64]uint64{}
	}
	for _, limit := range []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10} {
		s.Buckets[limit] += map[bool]uint64{true: 1}[took.Seconds() <= limit]
	}
}

// pass is one reconcile under way.
type pass struct {
	*Agent
	have     observed
	first    bool // of this agent: look at everything, also where nothing seems wrong
	problems []string
	errors   int
}

// reconcile makes the kernel match what is wanted: it reads what is, compares,
// and applies the difference in an order in which no packet meets a half-written
// state. What cannot be repaired is a problem that status shows, and is tried
// again next time.
func (a *Agent) reconcile() {
	began := time.Now()
	p := &pass{Agent: a, first: !a.ready.Load()}
	early := p.observePublishes()
	a.ops.Lock()
	defer a.ops.Unlock()
	if a.closed {
		return
	}
	if len(a.adopted.problems) > 0 {
		a.adopt() // what was in the way may have gone
	}
	whole, err := p.observe()
	if err := errors.Join(early, err); err != nil {
		p.fail("read the kernel's state", err)
	} else if !whole || !p.repair() {
		a.wake()
		return
	}
	a.gaveWay = time.Time{}
	if err := a.save(); err != nil {
		p.fail("store what Docker has", err)
	}
	p.problems = append(p.problems, a.adopted.problems...)
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(p.problems)
	a.problems = p.problems
	a.runs.add(time.Since(began), p.errors > 0)
}

// repair does the steps of a reconcile, or gives way in between.
func (p *pass) repair() (whole bool) {
	for _, step := range []func(){
		p.names, p.engineRules, p.bridges, p.host, p.guests, p.guardBridges, p.leftovers, p.sandboxes, p.published, p.routes,
	} {
		if p.givesWay() {
			return false
		}
		step()
	}
	return true
}

// mostPatience is how long reconciles give way before one is done whatever waits.
const mostPatience = time.Second

// givesWay says whether a reconcile is to stop for what cannot wait, such as a port
// that has just been published: its clients come at once. What has been done stays
// right, and the rest is for the next one.
func (p *pass) givesWay() bool {
	switch {
	case p.first || p.urgent.Load() == 0:
		return false
	case p.gaveWay.IsZero():
		p.gaveWay = time.Now()
	}
	return time.Since(p.gaveWay) < mostPatience
}

// hurry takes a.ops, before a reconcile is done: somebody waits for the operation.
func (a *Agent) hurry() {
	a.urgent.Add(1)
	defer a.urgent.Add(-1)
	a.ops.Lock()
}

// fail notes what a reconcile could not do.
func (p *pass) fail(what string, err error) {
	p.errors++
	p.problem(fmt.Sprintf("%s: %v", what, err))
	p.log.Error("reconcile: "+what, "error", err)
}

func (p *pass) problem(text string) { p.problems = append(p.problems, text) }

// repaired counts and tells what was not as it should be. What the first
// reconcile makes is no repair but the start.
func (p *pass) repaired(kind, what string) {
	if p.first {
		p.log.Debug("restored", "kind", kind, "what", what)
		return
	}
	p.log.Warn("repaired", "kind", kind, "what", what)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.repairs[kind]++
}

// observe reads all that the kernel has, or gives way in between.
func (p *pass) observe() (whole bool, err error) {
	for _, step := range []func() error{p.observeLinks, p.observeNetns, p.observePrograms, p.observeMaps} {
		if p.givesWay() {
			return false, nil
		}
		if err := step(); err != nil {
			return true, err
		}
	}
	return true, nil
}

func (p *pass) observeNetns() error {
	names, err := p.links.ListNetns()
	if err != nil {
		return err
	}
	p.have.netns = map[string]bool{}
	for _, name := range names {
		p.have.netns[name] = true
	}
	return nil
}

func (p *pass) observePrograms() error {
	attached, err := p.programs.Attached()
	if err != nil {
		return err
	}
	p.noteHooked(attached)
	p.have.programs = map[int][]loader.Attachment{}
	for _, at := range attached {
		p.have.programs[at.Ifindex] = append(p.have.programs[at.Ifindex], at)
	}
	return nil
}

// observeMaps reads what the datapath has been told.
func (p *pass) observeMaps() error {
	endpoints, err := p.fwd.Endpoints()
	if err != nil {
		return err
	}
	p.have.endpoints = map[uint32]datapath.Endpoint{}
	for _, ep := range endpoints {
		p.have.endpoints[ep.Ifindex] = ep
	}
	networks, err := p.fwd.Networks()
	if err != nil {
		return err
	}
	p.have.networks = map[uint16]datapath.Network{}
	for _, n := range networks {
		p.have.networks[n.Index] = n
	}
	return nil
}

// observePublishes reads what the datapath publishes. With 100,000 ports that takes
// longer than an operation may wait, so it is done before Agent.ops is held: published
// sees to what operations have changed since.
func (p *pass) observePublishes() (err error) {
	defer p.gate.leave()
	if p.gate.enter() {
		p.have.publishes, err = p.fwd.Publishes()
	}
	return err
}

// observeLinks reads devices and routes, which depend on each other.
func (p *pass) observeLinks() error {
	links, err := p.linksByName()
	if err != nil {
		return err
	}
	routes, err := p.links.Routes()
	if err != nil {
		return err
	}
	p.have.links, p.have.routes = links, routes
	return nil
}

// keep keeps the kernel as it should be until the context ends: whenever links,
// addresses or routes change, when an operation asks for it, and at an interval.
func (a *Agent) keep(done <-chan struct{}, changed <-chan struct{}) {
	const settle = 100 * time.Millisecond // a change seldom comes alone
	interval := time.NewTicker(a.opt.Interval)
	defer interval.Stop()
	for {
		select {
		case <-done:
			return
		case <-interval.C:
			a.lookInside(done)
		case <-a.kick:
		case _, ok := <-changed:
			if !ok {
				changed = nil
				a.log.Error("network events ended, changes are noticed at an interval only", "interval", a.opt.Interval)
			}
		}
		select {
		case <-done:
			return
		case <-time.After(settle):
		}
		a.awaitQuiet(done, 3*time.Second)
		began := time.Now()
		a.reconcile()
		// Many changes in a row, such as a thousand sandboxes being made, must not
		// keep the agent busy with looking: it works at most a fifth of the time.
		select {
		case <-done:
			return
		case <-time.After(4 * time.Since(began)):
		}
	}
}
