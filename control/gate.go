package control

import "sync"

// gate is open while the kernel's objects may be used. Whoever uses them without
// Agent.ops passes it.
type gate struct {
	use    sync.RWMutex // read-locked by those inside
	closed bool         // guarded by use
}

// enter says whether the gate is open, and then keeps it so until leave, which is to be
// called in either case.
func (g *gate) enter() (open bool) {
	g.use.RLock()
	return !g.closed
}

func (g *gate) leave() { g.use.RUnlock() }

// close lets nobody in any more, and waits for those inside.
func (g *gate) close() {
	g.use.Lock()
	defer g.use.Unlock()
	g.closed = true
}
