package docker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/lab"
)

// dockerd and the agent end and start again in any order, and containers do so meanwhile:
// connections of those that stay never break, new ones come about at any time, and in the
// end all is as it should be.
func TestDockerRestarts(t *testing.T) {
	restarts := number(t, "EBNET_TEST_DOCKER_RESTARTS", 6)
	seed := number(t, "EBNET_TEST_SEED", int(time.Now().UnixNano()&0xffffff))
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		t.Logf("EBNET_TEST_SEED=%d", seed)
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		s := adoptedStage(t, version, lab.DockerOptions{LiveRestore: true})
		s.docker.Run("network", "create", "front")
		s.agent.Idle()
		before := s.has()
		stays := map[int]*lab.Container{
			8080: s.tell("old", "-p 8080:7000 -p 8080:7000/udp"),
			8081: s.tell("new", "--network front -p 8081:7000 -p 8081:7000/udp"),
		}
		s.tell("changes", "--restart always -p 8082:7000")
		s.reaches(8082, "changes")
		calls := newCalls(s, stays)
		var done []string
		for range restarts {
			order := s.restart(random)
			done = append(done, order)
			s.listens("changes")
			s.reaches(8082, "changes")
			for _, c := range stays {
				if _, err := c.AskSoon("tcp", clientIP+":7000"); err != nil {
					t.Errorf("after %s: %s asks: %v", order, c.Name, err)
				}
			}
		}
		calls.end()
		t.Logf("%d answers over connections that stayed, %d over new ones, with %s",
			calls.kept.Load(), calls.fresh.Load(), strings.Join(done, "; "))
		s.samePorts()
		s.healthy(3)
		s.docker.Run("rm", "--force", "old", "new", "changes")
		s.hasAgain(before)
	})
}

// restart has dockerd, the agent or both end, something happen, and them start again. It
// says what it did.
func (s *stage) restart(random *rand.Rand) string {
	s.t.Helper()
	type daemon struct {
		name       string
		end, start func()
	}
	all := []daemon{
		{"agent killed", s.agent.Kill, s.agent.Start},
		{"dockerd killed", s.docker.Kill, s.docker.Start},
	}
	if random.IntN(6) == 0 {
		all[1] = daemon{"dockerd stopped", s.docker.Stop, s.docker.Start} // 26.1 takes 5 s for it
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:1+random.IntN(len(all))]
	var said []string
	docker := false
	for _, d := range all {
		d.end()
		said = append(said, d.name)
		docker = docker || strings.HasPrefix(d.name, "dockerd")
	}
	switch what := random.IntN(4); {
	case what == 0 && docker:
		said = append(said, "container dies")
		s.die("changes")
	case what == 0:
		said = append(said, "container restarts")
		s.docker.Run("restart", "--time", "0", "changes")
	case what == 1 && !docker:
		said = append(said, "container is replaced")
		s.docker.Run("rm", "--force", "changes")
		s.tell("changes", "--restart always -p 8082:7000")
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, d := range all {
		d.start()
	}
	return strings.Join(said, ", ")
}

// die kills the processes of a container, without a word to Docker.
func (s *stage) die(name string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		pid := 0
		fmt.Sscanf(filepath.Base(filepath.Dir(file)), "%d", &pid)
		if string(line) == "traffic\x00tell\x00"+name+"\x00:7000\x00" && s.owns(pid) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// owns says whether a process is in one of the stage's containers.
func (s *stage) owns(pid int) bool {
	groups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return strings.Contains(string(groups), filepath.Base(s.host.Path))
}

// calls go on all the time: connections that stay, and new ones.
type calls struct {
	s           *stage
	stop        chan struct{}
	all         sync.WaitGroup
	kept, fresh atomic.Int64 // answers
	talks       []*lab.Conversation
}

// newCalls begins with calls from and to containers, and to their published ports.
func newCalls(s *stage, containers map[int]*lab.Container) *calls {
	c := &calls{s: s, stop: make(chan struct{})}
	for port, container := range containers {
		at := fmt.Sprintf("%s:%d", hostIP, port)
		for what, talk := range map[string]*lab.Conversation{
			"tcp from outside":    s.client.Talk("tcp", "", at),
			"udp from outside":    s.client.Talk("udp", "", at),
			"tcp to outside":      container.Talk("tcp", "", clientIP+":7000"),
			"tcp from localhost":  s.host.Talk("tcp", "", fmt.Sprintf("127.0.0.1:%d", port)),
			"tcp from the bridge": s.host.Talk("tcp", "", container.Addr.String()+":7000"),
		} {
			c.talks = append(c.talks, talk)
			c.repeat(container.Name+", "+what, &c.kept, func() error { _, err := talk.Ask(); return err })
		}
		c.repeat(container.Name+", new from outside", &c.fresh, func() error { _, err := s.client.Ask("tcp", at); return err })
		c.repeat(container.Name+", new to outside", &c.fresh, func() error { _, err := container.Ask("tcp", clientIP+":7000"); return err })
	}
	return c
}

// repeat calls until an error, which is one of the test's.
func (c *calls) repeat(what string, answers *atomic.Int64, call func() error) {
	c.all.Go(func() {
		for {
			if err := call(); err != nil {
				c.s.t.Errorf("%s: %v", what, err)
				return
			}
			answers.Add(1)
			select {
			case <-c.stop:
				return
			case <-time.After(20 * time.Millisecond): // the daemons want to work, too
			}
		}
	})
}

func (c *calls) end() {
	close(c.stop)
	c.all.Wait()
	for _, talk := range c.talks {
		talk.Close()
	}
}

// has is what the host and the agent have of containers, as lines of text. Flows and
// sockets are none of them, for they end by themselves, nor are the host's own addresses.
func (s *stage) has() string {
	var b strings.Builder
	status := s.agent.Status()
	fmt.Fprintf(&b, "%d endpoints, %d ports, problems %q\n", status.Endpoints, status.Published, status.Problems)
	for _, m := range status.Maps {
		if m.Name != "host_addrs" && m.Name != "origins" && !strings.Contains(m.Name, "flow") {
			fmt.Fprintf(&b, "%d entries in map %s\n", m.Entries, m.Name)
		}
	}
	for _, p := range status.Programs {
		fmt.Fprintf(&b, "%s at %s of %s\n", p.Program, p.Hook, p.Device)
	}
	filepath.WalkDir(s.agent.Pins(), func(path string, _ os.DirEntry, _ error) error {
		b.WriteString(path + "\n")
		return nil
	})
	for line := range strings.Lines(s.host.IP("-o", "link")) {
		b.WriteString(strings.Fields(line)[1] + "\n")
	}
	b.WriteString("reserved: " + s.host.ReadSysctl("net.ipv4.ip_local_reserved_ports") + "\n")
	for _, p := range s.agent.Ports() {
		fmt.Fprintf(&b, "port %+v\n", p)
	}
	return b.String()
}

// hasAgain waits until the host and the agent have what they had before.
func (s *stage) hasAgain(before string) {
	s.t.Helper()
	lab.Eventually(s.t, wait, func() error {
		if now := s.has(); now != before {
			return fmt.Errorf("left:\n%s\nwhere there was\n%s", now, before)
		}
		return nil
	})
}

// samePorts waits until ebnet says the same of Docker's published ports as Docker does.
func (s *stage) samePorts() {
	s.t.Helper()
	lab.Eventually(s.t, wait, func() error {
		var theirs, ours []string
		for _, name := range strings.Fields(s.docker.Run("ps", "--format", "{{.Names}}")) {
			for line := range strings.Lines(s.docker.Run("port", name)) {
				// 7000/tcp -> 0.0.0.0:8080
				words := strings.Fields(line)
				if port, proto, _ := strings.Cut(words[0], "/"); !strings.HasPrefix(words[2], "[") {
					theirs = append(theirs, fmt.Sprintf("%s %s docker/%s:%s", proto, words[2], name, port))
				}
			}
		}
		for _, p := range s.agent.Ports() {
			for i := range p.HostPortEnd - p.HostPort + 1 {
				ours = append(ours, fmt.Sprintf("%s %s:%d %s:%d", p.Proto, p.HostIP, p.HostPort+i, p.Sandbox, p.Port+i))
			}
		}
		slices.Sort(theirs)
		slices.Sort(ours)
		if !slices.Equal(theirs, ours) {
			return fmt.Errorf("Docker publishes\n%s\nand ebnet\n%s", strings.Join(theirs, "\n"), strings.Join(ours, "\n"))
		}
		return nil
	})
}
