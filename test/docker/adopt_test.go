package docker

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// tell runs a container that answers on port 7000, and waits until it does.
func (s *stage) tell(name, flags string) *lab.Container {
	s.t.Helper()
	args := append([]string{"run", "--detach", "--name", name}, strings.Fields(flags)...)
	s.docker.Run(append(args, lab.DockerImage, "traffic", "tell", name, ":7000")...)
	return s.listens(name)
}

// listens waits until a container's server does, and finds the container.
func (s *stage) listens(name string) *lab.Container {
	s.t.Helper()
	var c *lab.Container
	lab.Eventually(s.t, wait, func() error {
		c = s.docker.Container(name)
		_, err := c.AskSoon("tcp", "127.0.0.1:7000")
		return err
	})
	return c
}

// reaches waits until the client is answered by a container at a port of the host, if
// name is not empty, and by nobody otherwise.
func (s *stage) reaches(port int, name string) {
	s.t.Helper()
	lab.Eventually(s.t, wait, func() error {
		reply, err := s.client.AskSoon("tcp", fmt.Sprintf("%s:%d", hostIP, port))
		if reply.Server != name || (name != "") != (err == nil) {
			return fmt.Errorf("port %d: %+v, %v, want %q", port, reply, err, name)
		}
		return nil
	})
}

// Containers that run, with or without connections, are taken in by an agent that starts
// later, also while others come and go.
func TestDockerTakenIn(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := newStage(t, version, lab.DockerOptions{})
		web, other := s.tell("web", "-p 8080:7000"), s.tell("other", "")
		inside := other.Talk("tcp", "", web.Addr.String()+":7000")
		other.MustAsk(inside)
		fromHost := s.host.Talk("tcp", "", web.Addr.String()+":7000")
		s.host.MustAsk(fromHost)
		if reply, err := s.client.AskSoon("tcp", hostIP+":8080"); err == nil {
			t.Errorf("without an agent: %+v", reply)
		}
		end := make(chan struct{})
		var dying sync.WaitGroup
		for i := range 3 {
			dying.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
						s.docker.Try("run", "--rm", "--publish", fmt.Sprintf("%d:7000", 9000+i), lab.DockerImage, "true")
					}
				}
			})
		}
		s.adopt()
		// What has run all the time is there when the agent is ready.
		if reply, err := s.client.Ask("tcp", hostIP+":8080"); err != nil || reply.Server != "web" || reply.Client.Addr().String() != clientIP {
			t.Errorf("published: %+v, %v", reply, err)
		}
		if reply, err := other.Ask("tcp", clientIP+":7000"); err != nil || reply.Client.Addr().String() != hostIP {
			t.Errorf("outgoing: %+v, %v", reply, err)
		}
		for name, c := range map[string]*lab.Conversation{"container to container": inside, "host to container": fromHost} {
			if _, err := c.Ask(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		close(end)
		dying.Wait()
		s.samePorts()
		s.healthy(2)
	})
}

// With Docker's own rules, not even connections that Docker translates break.
func TestDockerTakenInFromIptables(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := newStage(t, version, lab.DockerOptions{Iptables: true, Proxy: true})
		web := s.tell("web", "-p 8080:7000")
		talks := map[string]*lab.Conversation{
			"published":    s.client.Talk("tcp", "", hostIP+":8080"),
			"by localhost": s.host.Talk("tcp", "", "127.0.0.1:8080"),
			"outgoing":     web.Talk("tcp", "", clientIP+":7000"),
		}
		rules := s.host.Run("iptables-nft-save", "-t", "nat")
		goOn := func(when string) {
			t.Helper()
			for name, c := range talks {
				if _, err := c.Ask(); err != nil {
					t.Errorf("%s: %s: %v", when, name, err)
				}
			}
			if reply, err := s.client.Ask("tcp", hostIP+":8080"); err != nil || reply.Server != "web" {
				t.Errorf("%s: a new connection: %+v, %v", when, reply, err)
			}
		}
		goOn("before the agent")
		s.adopt()
		goOn("with the agent")
		s.agent.Kill()
		goOn("agent dead")
		s.agent.Start()
		goOn("agent back")
		if now := s.host.Run("iptables-nft-save", "-t", "nat"); withoutComments(now) != withoutComments(rules) {
			t.Errorf("Docker's rules were\n%sand are\n%s", rules, now)
		}
	})
}

// withoutComments is what iptables-save writes without times and counters.
func withoutComments(rules string) string {
	var b strings.Builder
	for line := range strings.Lines(rules) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// healthy waits until the agent has nothing to complain about, and so many endpoints.
func (s *stage) healthy(endpoints int) {
	s.t.Helper()
	lab.Eventually(s.t, wait, func() error {
		if status := s.agent.Status(); status.Endpoints != endpoints || len(status.Problems) > 0 {
			return fmt.Errorf("%d endpoints, problems %q", status.Endpoints, status.Problems)
		}
		return nil
	})
}
