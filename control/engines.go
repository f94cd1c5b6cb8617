package control

import (
	"context"
	"fmt"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/engine/docker"
)

// Engine is what the agent needs of what follows a container engine.
type Engine interface {
	Run(ctx context.Context, sink func(engine.World))
	State() docker.State
}

// engineWait is how long the agent's start waits for what an engine has: longer than
// one that is well takes to say it.
const engineWait = 10 * time.Second

// follow begins to follow the engine, and waits until it has told what it has, or does
// not answer: so the first reconcile does not undo what the next one makes again.
func (a *Agent) follow(ctx context.Context) {
	if a.engine == nil {
		return
	}
	told := make(chan struct{}, 1)
	go a.engine.Run(ctx, func(w engine.World) {
		a.Adopt(w)
		select {
		case told <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithTimeout(ctx, engineWait)
	defer cancel()
	for a.engine.State().Err == nil {
		select {
		case <-told:
			return
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// What status says of an engine's network.
const (
	stateAdopted  = "adopted"
	stateRules    = "adopted, Docker's rules are there"
	stateNoBridge = "its bridge is not there"
)

// engines describes the engines that the agent follows. The caller holds a.mu.
func (a *Agent) engines() []api.Engine {
	if a.engine == nil {
		return nil
	}
	state := a.engine.State()
	out := api.Engine{Name: ownerDocker, Socket: a.opt.Docker, Connected: state.Connected, Version: state.Version}
	for _, n := range a.want.networkList() {
		if !foreign(n.Owner) {
			continue
		}
		network := api.EngineNetwork{Name: n.Name, State: stateAdopted}
		switch {
		case a.live.bridges[n.Name] == 0:
			network.State = stateNoBridge
		case a.live.rules:
			network.State = stateRules
		}
		out.Networks = append(out.Networks, network)
	}
	return []api.Engine{out}
}

// engineProblems tells of engines that do not answer.
func (a *Agent) engineProblems() []string {
	if a.engine == nil {
		return nil
	}
	state := a.engine.State()
	if state.Connected || state.Err == nil {
		return nil
	}
	return []string{fmt.Sprintf("Docker does not answer on %s: %v; what it had stays as it was", a.opt.Docker, state.Err)}
}
