package e2e

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/lab"
)

// What somebody takes away from under a running agent comes back.
func TestRepairs(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a", "-p", "8080:7000")
	s.AnswerTCP("a", ":7000")
	w.client.AnswerTCP("outside", ":7000")
	link := s.Info.Endpoints[0].HostInterface
	for _, harm := range []string{
		"link del " + link,
		"link del ebnet0",
		"addr flush dev ebnet0",
		"link set ebnet0 down",
		"link set " + link + " down",
		"link set " + link + " nomaster",
		"link del ebnet-fib0",
		"-n " + filepath.Base(s.Path) + " link del eth0",
	} {
		w.host.IP(strings.Fields(harm)...)
		lab.Eventually(t, 2*wait, func() error {
			for _, way := range []struct {
				from   *lab.Machine
				remote string
			}{{w.client, hostIP + ":8080"}, {w.host, "127.0.0.1:8080"}, {s.Machine, clientIP + ":7000"}, {w.host, addrPort(s, "7000")}} {
				if _, err := way.from.AskSoon("tcp", way.remote); err != nil {
					return fmt.Errorf("after ip %s: %s asks %s: %w", harm, way.from.Name, way.remote, err)
				}
			}
			return nil
		})
	}
	if st := w.agent.Status(); len(st.Problems) != 0 {
		t.Errorf("problems: %q", st.Problems)
	}
}

// Whenever the agent is killed, the next one has every sandbox and port whole or not at
// all, and those that were confirmed.
func TestAgentKilledWhileChanging(t *testing.T) {
	w := newWorld(t)
	var confirmed, answering []string
	port := 20000
	for round := range 6 {
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("r%d-%d", round, i)
				port++
				if res := w.agent.Try("sandbox", "create", name, "-p", fmt.Sprintf("%d:7000", port)); res.Code != 0 {
					return
				}
				confirmed = append(confirmed, name)
			}
		})
		// Once it is under way, at no particular point.
		before := len(w.sandboxes(t))
		lab.Eventually(t, wait, func() error {
			if len(w.sandboxes(t)) < before+2 {
				return lab.Still("no sandbox was made")
			}
			return nil
		})
		w.agent.Kill()
		wg.Wait()
		w.agent.Start()

		var names []string
		for _, s := range w.sandboxes(t) {
			names = append(names, s.Name)
			if len(s.Published) != 1 || len(s.Endpoints) != 1 {
				t.Errorf("sandbox %s is half done: %+v", s.Name, s)
				continue
			}
			box := w.agent.Sandbox(s.Name)
			if !slices.Contains(answering, s.Name) {
				box.AnswerTCP(s.Name, ":7000")
				answering = append(answering, s.Name)
			}
			remote := fmt.Sprintf("%s:%d", hostIP, s.Published[0].HostPort)
			if reply, err := w.client.Ask("tcp", remote); err != nil || reply.Server != s.Name {
				t.Errorf("%s at %s: %+v, %v", s.Name, remote, reply, err)
			}
		}
		for _, name := range confirmed {
			if !slices.Contains(names, name) {
				t.Errorf("sandbox %s was confirmed and is gone", name)
			}
		}
		if st := w.agent.Status(); len(st.Problems) != 0 || st.Endpoints != len(names) || st.Published != len(names) {
			t.Errorf("status with %d sandboxes: %+v", len(names), st)
		}
		found, err := filepath.Glob("/run/netns/" + w.agent.Prefix + "*")
		if err != nil || len(found) != len(names) {
			t.Errorf("%d sandboxes, namespaces %q, %v", len(names), found, err)
		}
		if links := strings.Count(w.host.IP("-o", "link", "show", "master", "ebnet0"), "\n"); links != len(names) {
			t.Errorf("%d sandboxes, %d links", len(names), links)
		}
	}
}

// sandboxes is what `ebnet sandbox ls` lists.
func (w *world) sandboxes(t *testing.T) []api.Sandbox {
	t.Helper()
	var all []api.Sandbox
	w.agent.JSON(&all, "sandbox", "ls", "-o", "json")
	return all
}

// An uplink with a smaller MTU than the client's: the sandboxes' links follow it, and
// what is sent fits.
func TestSmallMTU(t *testing.T) {
	w := newHost(t)
	w.host.IP("link", "set", "eth0", "mtu", "1400")
	w.agent = w.host.Agent()
	s := w.agent.Create("a", "-p", "8080:7000")
	ln := s.ListenTCP(":7000")
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.CopyN(conn, zeros{}, 10<<20)
	}()
	c := w.client.Talk("tcp", "", hostIP+":8080")
	if n, err := io.Copy(io.Discard, net.Conn(c)); err != nil || n != 10<<20 {
		t.Errorf("got %d bytes, %v", n, err)
	}
}
