package run

import (
	"context"
	"fmt"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/bench/systems"
)

// containerPort is where the series publishes the last of its containers.
const containerPort = 7001

// containers measures the last container's connections while there are more and more. They
// stay until the world is taken down, which is quicker than one by one: no series comes
// after.
func (s *Scale) containers(ctx context.Context, series *Series) error {
	series.What = "connections a second to the last of so many containers"
	client := s.ebnet().Client()
	defer client.Close()
	// With more than netdev_max_backlog ports a bridge's broadcast, such as an ARP request,
	// pushes its own answer out of the CPU's queue: 1,000 have to be all.
	have := len(s.ebnet().Boxes())
	var spent time.Duration
	for _, count := range s.steps(1, 10, 100, 1000) {
		name := "web"
		start := time.Now()
		for have < count {
			name = fmt.Sprintf("more%d", have)
			if _, err := client.CreateSandbox(ctx, api.SandboxCreate{Name: name}); err != nil {
				return fmt.Errorf("create sandbox %d: %w", have, err)
			}
			have++
		}
		spent += time.Since(start)
		spec := api.PublishSpec{HostPort: containerPort, HostPortEnd: containerPort, Port: containerPort, PortEnd: containerPort, Proto: "tcp"}
		if _, err := client.Publish(ctx, api.PublishCreate{Spec: spec, Sandbox: name}); err != nil {
			return fmt.Errorf("publish of %s: %w", name, err)
		}
		if err := s.point(ctx, series, max(count, have), func(r *systems.Route) {
			r.Port = containerPort
			r.Server = s.ebnet().Agent.Sandbox(name).Machine
		}); err != nil {
			return err
		}
		if _, err := client.Unpublish(ctx, api.HostSpec{HostPort: containerPort, HostPortEnd: containerPort, Proto: "tcp"}); err != nil {
			return fmt.Errorf("unpublish of %s: %w", name, err)
		}
	}
	s.once("sandboxes", fmt.Sprintf("creating and attaching %d sandboxes", have-len(s.ebnet().Boxes())), have, spent.Seconds(), "s")
	return nil
}
