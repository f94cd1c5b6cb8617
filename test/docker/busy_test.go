package docker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/lab"
)

// number is how many of something a test does: few, unless the environment has a number
// for it.
func number(t *testing.T, env string, few int) int {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// adoptedStage is a stage without a rule of Docker's, and an agent that follows it.
func adoptedStage(t *testing.T, version lab.DockerVersion, options lab.DockerOptions) *stage {
	t.Helper()
	s := newStage(t, version, options)
	s.adopt()
	return s
}

// adopt starts the agent. It ends before Docker does, which otherwise waits for whoever
// listens to its events.
func (s *stage) adopt() {
	s.t.Helper()
	s.agent = s.host.Agent("--docker=" + s.docker.Socket())
	s.t.Cleanup(func() { syscall.Kill(s.agent.PID(), syscall.SIGKILL) })
}

// byUsers has some users do things at once, each one after the other.
func byUsers(users, things int, do func(i int)) {
	var all sync.WaitGroup
	for user := range users {
		all.Go(func() {
			for i := user; i < things; i += users {
				do(i)
			}
		})
	}
	all.Wait()
}

// watch counts what the client's machine gets to see, before it thinks about it.
func (s *stage) watch() {
	s.client.Run("nft", "add table ip watch; add chain ip watch in { type filter hook prerouting priority -300; }; "+
		"add counter ip watch private; add counter ip watch syn; "+
		"add rule ip watch in ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 } counter name private; "+
		"add rule ip watch in tcp flags & (syn | ack) == syn counter name syn")
}

// watched is what one of watch's counters has counted.
func (s *stage) watched(counter string) int {
	s.t.Helper()
	words := strings.Fields(s.client.Run("nft", "list", "counter", "ip", "watch", counter))
	n, err := strconv.Atoi(words[slices.Index(words, "packets")+1])
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// The very first packet of a container gets where it should, or nowhere: whether it asks
// somebody outside by TCP or UDP, or a container on another network.
func TestDockerFirstPacket(t *testing.T) {
	const users = 4
	runs := number(t, "EBNET_TEST_DOCKER_RUNS", 20) // of each version
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := adoptedStage(t, version, lab.DockerOptions{})
		if s.host.ReadSysctl("net.ipv4.ip_forward") != "1" {
			t.Fatal("Docker has not made the host forward")
		}
		s.client.Start("traffic", "serve", ":8000").WaitFor("serving")
		s.watch()
		s.docker.Run("network", "create", "front")
		s.docker.Run("network", "create", "back")
		s.docker.Run("run", "--detach", "--name", "secret", "--network", "back", lab.DockerImage)
		secret := s.docker.Container("secret")
		s.agent.Idle()
		before := s.has()
		var web, dropped atomic.Int32
		start := time.Now()
		byUsers(users, runs, func(i int) {
			network := []string{"bridge", "front"}[i/3%2]
			run := func(command string) lab.Result {
				return s.docker.Try("run", "--rm", "--network", network, lab.DockerImage, "sh", "-c", command)
			}
			switch i % 3 {
			case 0:
				web.Add(1)
				res := run("wget -q -O - http://" + clientIP + ":8000/ && cat /proc/net/snmp")
				if res.Code != 0 || !strings.HasPrefix(res.Out, "hello "+hostIP+":") || snmp(res.Out, "Tcp", "RetransSegs") != "0" {
					t.Errorf("wget in run %d: %+v", i, res)
				}
			case 1:
				if res := run("traffic ask udp " + clientIP + ":7000"); !strings.HasPrefix(res.Out, "client "+hostIP+":") {
					t.Errorf("UDP in run %d: %+v", i, res)
				}
			case 2:
				dropped.Add(1)
				if res := run("ping -q -c 1 -W 1 " + secret.Addr.String()); res.Code != 1 {
					t.Errorf("ping to another network in run %d: %+v", i, res)
				}
			}
		})
		t.Logf("%d runs by %d users in %v", runs, users, time.Since(start).Round(time.Millisecond))
		if n := s.watched("syn"); n != int(web.Load()) {
			t.Errorf("%d SYNs outside for %d connections", n, web.Load())
		}
		if n := s.watched("private"); n != 0 {
			t.Errorf("%d packets with private sources outside", n)
		}
		if n := secret.SNMP("Icmp", "InEchos"); n != 0 {
			t.Errorf("%d of %d pings came to another network", n, dropped.Load())
		}
		s.hasAgain(before)
	})
}

// snmp reads a counter of /proc/net/snmp.
func snmp(text, protocol, counter string) string {
	var names []string
	for line := range strings.Lines(text) {
		switch words := strings.Fields(line); {
		case words[0] != protocol+":":
		case names == nil:
			names = words
		default:
			return words[slices.Index(names, counter)]
		}
	}
	return ""
}

// A hundred containers that ten users start at once are reached from outside as soon as
// their `docker run` has returned, and leave nothing behind. Docker tells the agent of ports
// that it chooses at the moment at which it tells the user, and the agent shares two
// processors with all of that, so that a client can be cut off once; how many are is
// reported.
func TestDockerHundred(t *testing.T) {
	const users, containers = 10, 100
	s := adoptedStage(t, lab.Docker26, lab.DockerOptions{})
	s.agent.Idle()
	before := s.has()
	var early, cut atomic.Int32
	start := time.Now()
	byUsers(users, containers, func(i int) {
		name, publish := fmt.Sprintf("c%d", i), fmt.Sprintf("%d:7000", 8000+i)
		if i%2 == 1 {
			publish = "7000" // where Docker likes
		}
		if res := s.docker.Try("run", "--detach", "--name", name, "--publish", publish, lab.DockerImage, "traffic", "tell", name, ":7000"); res.Code != 0 {
			t.Errorf("run %s: %s", name, res.Err)
			return
		}
		at := hostIP + ":" + strings.TrimSuffix(publish, ":7000")
		if i%2 == 1 {
			at = hostIP + ":" + s.port(name, "7000/tcp")
		}
		reply, err := s.client.Ask("tcp", at)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			// By the container, whose server was not up yet: Docker's socket takes
			// whom ebnet does not lead to it.
			early.Add(1)
			c := s.docker.Container(name)
			lab.Eventually(t, wait, func() error { _, err := c.AskSoon("tcp", "127.0.0.1:7000"); return err })
			reply, err = s.client.Ask("tcp", at)
		case errors.Is(err, syscall.ECONNRESET):
			cut.Add(1)
			lab.Eventually(t, wait, func() error { reply, err = s.client.Ask("tcp", at); return err })
		}
		if err != nil || reply.Server != name || reply.Client.Addr().String() != clientIP {
			t.Errorf("%s at %s, as soon as it ran: %+v, %v", name, at, reply, err)
		}
	})
	t.Logf("%d containers by %d users in %v; %d were asked before they listened, %d clients were cut off",
		containers, users, time.Since(start).Round(time.Millisecond), early.Load(), cut.Load())
	if status := s.agent.Status(); status.Endpoints != containers || status.Published != containers || len(status.Problems) > 0 {
		t.Errorf("%d endpoints, %d ports, problems %q", status.Endpoints, status.Published, status.Problems)
	}
	s.samePorts()
	byUsers(users, containers, func(i int) { s.docker.Run("rm", "--force", fmt.Sprintf("c%d", i)) })
	s.hasAgain(before)
}

// A client that asks all the time while the container restarts is answered, refused or
// cut off each time, and never left waiting: not by the socket either with which Docker
// holds the port.
func TestDockerNobodyWaits(t *testing.T) {
	// Clients ask again after 1 and 3 s where nobody has answered because there is
	// nobody, and are answered if the container is back by then.
	const restarts, patience = 6, 5 * time.Second
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := adoptedStage(t, version, lab.DockerOptions{})
		s.docker.Run("run", "--detach", "--name", "web", "--publish", "8080:7000", lab.DockerImage, "traffic", "tell", "web", ":7000")
		end := make(chan struct{})
		var all sync.WaitGroup
		var answered, refused, cut atomic.Int32
		for _, client := range []struct {
			on *lab.Machine
			at string
		}{{s.client, hostIP + ":8080"}, {s.client, otherIP + ":8080"}, {s.host, "127.0.0.1:8080"}} {
			all.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
					}
					start := time.Now()
					_, err := client.on.Ask("tcp", client.at)
					waited := time.Since(start)
					switch {
					case waited > patience:
						t.Errorf("%s waited %v at %s: %v", client.on.Name, waited, client.at, err)
					case err == nil:
						answered.Add(1)
					case errors.Is(err, syscall.ECONNREFUSED):
						refused.Add(1)
					case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF):
						cut.Add(1)
					default:
						t.Errorf("%s at %s: %v", client.on.Name, client.at, err)
					}
				}
			})
		}
		for range restarts {
			s.docker.Run("restart", "--time", "0", "web")
			had := answered.Load()
			lab.Eventually(t, wait, func() error {
				if answered.Load() < had+10 {
					return lab.Still("not answered after the restart")
				}
				return nil
			})
		}
		close(end)
		all.Wait()
		t.Logf("%d answered, %d refused, %d cut off", answered.Load(), refused.Load(), cut.Load())
	})
}
