package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/lab"
)

// dockerPatience is how long Docker may take to publish one step's ports: it runs
// iptables for each of them, and each run reads all rules.
const dockerPatience = 10 * time.Minute

// dockerPorts measures the last port's connections of ebnet and of Docker, while both
// have more and more of them.
func (s *Scale) dockerPorts(ctx context.Context, series *Series) (err error) {
	series.System = systems.DockerNft
	series.What = "ebnet's connections a second to the last of so many published ports"
	series.Base = "Docker's to the last of as many"
	docker := s.Docker.System.(*systems.Docker)
	e := s.ebnet()
	client := e.Client()
	defer client.Close()
	// What it has published it would take back one by one.
	defer func() { err = errors.Join(err, s.Docker.Do(docker.Engine.Kill)) }()
	have := 0
	var spent time.Duration
	for _, count := range s.steps(1, 100, 300, 1000, 3000) {
		spec := portRange(e.HostAddrs()[0], firstPort+have, count-have)
		if _, err := client.Publish(ctx, api.PublishCreate{Spec: spec, Sandbox: "web"}); err != nil {
			return fmt.Errorf("publish %d ports: %w", count-have, err)
		}
		ours := systems.Route{Addr: e.HostAddrs()[0], Port: spec.HostPortEnd}
		start := time.Now()
		theirs, err := s.dockerPublish(ctx, docker, spec)
		if err != nil {
			return err
		}
		spent += time.Since(start)
		have = count
		s.Say("docker-ports: Docker has published %d after %v", have, spent.Round(time.Second))
		if err := s.between(ctx, series, count, []side{
			{world: s.Grown, change: func(r *systems.Route) { r.Addr, r.Port = ours.Addr, ours.Port }},
			{world: s.Docker, change: func(r *systems.Route) { r.Port, r.Server = theirs.Port, theirs.Server }},
		}); err != nil {
			return err
		}
	}
	s.once("docker.publish", fmt.Sprintf("Docker publishing %d ports", have), have, spent.Seconds(), "s")
	return unpublishAll(ctx, client)
}

// dockerPublish has one more container publish a range, and finds the port that Docker's
// rules ask for last.
func (s *Scale) dockerPublish(ctx context.Context, docker *systems.Docker, spec api.PublishSpec) (theirs systems.Route, err error) {
	name := fmt.Sprintf("more%d", spec.HostPort)
	words := docker.Engine.Command("run", "--detach", "--name", name, "--publish",
		fmt.Sprintf("%d-%d:%[1]d-%d", spec.HostPort, spec.HostPortEnd), lab.DockerImage)
	run, err := start(docker.Engine.Machine, words...)
	if err != nil {
		return theirs, err
	}
	stop := context.AfterFunc(ctx, run.kill)
	defer stop()
	if _, err := run.wait(dockerPatience); err != nil {
		return theirs, fmt.Errorf("publish by Docker: %w", err)
	}
	fatal := s.Docker.Do(func() {
		theirs.Server = docker.Engine.Container(name).Machine
		theirs.Port, err = docker.LastPort()
	})
	if fatal != nil {
		return theirs, fatal
	}
	return theirs, err
}
