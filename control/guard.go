package control

import (
	"slices"
	"time"

	"github.com/ebnet/ebnet/loader"
)

// guardEvery is how soon it is noticed at the latest that somebody has taken away
// pins or programs, of which no event of the network tells. A look costs 2 ms with
// 1,000 endpoints, 6 ms without tcx.
const guardEvery = 2 * time.Second

// guard has what was taken away brought back, until done. It looks when there is a
// hint, and else now and then.
func (a *Agent) guard(done <-chan struct{}, every time.Duration) {
	const settle = 100 * time.Millisecond // one pin seldom goes alone
	tick := time.NewTicker(every)
	defer tick.Stop()
	hints := a.programs.Hints()
	var tried retries
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		case <-hints:
			select {
			case <-done:
				return
			case <-time.After(settle):
			}
		}
		a.awaitQuiet(done, guardEvery)
		if tried.due(a.lost(), time.Now(), a.opt.Interval) || a.rulesTurned() {
			a.reconcile()
		}
	}
}

// rulesTurned says whether an engine's own rules have come or gone, of which no event
// tells.
func (a *Agent) rulesTurned() bool {
	a.ops.Lock()
	defer a.ops.Unlock()
	if a.closed || !a.hasForeign() {
		return false
	}
	rules, err := a.dockerRules()
	return err == nil && rules != a.live.rules
}

// lost is what is missing at this moment, while no operation is under way.
func (a *Agent) lost() loader.Lost {
	a.ops.Lock()
	defer a.ops.Unlock()
	if a.closed {
		return loader.Lost{}
	}
	lost, err := a.programs.Lost()
	if err != nil {
		// What it is, and whether it can be helped, is for the next reconcile.
		a.log.Debug("programs not looked after", "error", err)
	}
	return lost
}

// retries tells when to try a repair, so that one that does not succeed is not tried
// all the time: what is new at once, the same at growing intervals.
type retries struct {
	lost  loader.Lost
	next  time.Time
	pause time.Duration
}

func (r *retries) due(lost loader.Lost, now time.Time, limit time.Duration) bool {
	same := slices.Equal(lost.Pins, r.lost.Pins) && slices.Equal(lost.Hooks, r.lost.Hooks)
	switch {
	case len(lost.Pins)+len(lost.Hooks) == 0:
		*r = retries{}
		return false
	case !same:
		*r = retries{lost: lost, pause: guardEvery}
	case now.Before(r.next):
		return false
	}
	r.next = now.Add(r.pause)
	r.pause = min(2*r.pause, limit)
	return true
}
