package docker

import "sync"

// lookups are the questions to Docker about single things that are under way: at
// most one for each ID at a time, and one more after it for all that wanted one
// in the meantime. None waits for another.
type lookups[K comparable] struct {
	look func(id K) // asks about one thing and notes the answer

	mu      sync.Mutex
	going   map[K]*lookup
	stopped bool
	running sync.WaitGroup
}

type lookup struct {
	done  chan struct{} // closed when the one under way is over
	after chan struct{} // the same for the one after it; nil: none is wanted
}

func newLookups[K comparable](look func(id K)) *lookups[K] {
	return &lookups[K]{look: look, going: map[K]*lookup{}}
}

// start asks about a thing. The channel is closed when an answer has been noted
// that is younger than this call, or when there will be none.
func (l *lookups[K]) start(id K) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		never := make(chan struct{})
		close(never)
		return never
	}
	if now, ok := l.going[id]; ok {
		if now.after == nil {
			now.after = make(chan struct{})
		}
		return now.after
	}
	first := &lookup{done: make(chan struct{})}
	l.going[id] = first
	l.running.Go(func() { l.run(id, first) })
	return first.done
}

// run asks until nobody wants to know any more.
func (l *lookups[K]) run(id K, now *lookup) {
	for {
		l.look(id)
		if !l.next(id, now) {
			return
		}
	}
}

// next ends one question and says whether another is wanted.
func (l *lookups[K]) next(id K, now *lookup) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(now.done)
	if l.stopped || now.after == nil {
		if now.after != nil {
			close(now.after)
		}
		delete(l.going, id)
		return false
	}
	now.done, now.after = now.after, nil
	return true
}

// stop begins no more questions and waits for those under way, which the caller
// has to cancel.
func (l *lookups[K]) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.running.Wait()
}
