package docker

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// While events do not come, containers go on, and what they are told of matters again
// when they do.
func TestDockerDeafAgent(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := newStage(t, version, lab.DockerOptions{})
		line := newLine(t, filepath.Join(s.Dir(), "line.sock"), s.docker.Socket())
		s.agent = s.host.Agent("--docker=" + line.socket)
		t.Cleanup(line.cut) // or Docker waits for it to end
		s.docker.Run("network", "create", "front")
		s.tell("web", "-p 8080:7000")
		s.tell("gone", "-p 8081:7000")
		s.docker.Run("network", "connect", "front", "web")
		beside := s.tell("beside", "--network front")
		s.reaches(8080, "web")
		s.reaches(8081, "gone")
		web := s.docker.Container("web")
		kept := beside.Talk("tcp", "", web.On["front"].String()+":7000")
		beside.MustAsk(kept)
		ends := s.client.Talk("tcp", "", hostIP+":8081")
		s.client.MustAsk(ends)

		line.cut()
		lab.Eventually(t, wait, func() error {
			problems := s.agent.Status().Problems
			if len(problems) != 1 || !strings.Contains(problems[0], "Docker does not answer") {
				return fmt.Errorf("problems %q", problems)
			}
			return nil
		})
		s.reaches(8080, "web")
		// A container that the agent has not been told of is on the bridge all the same.
		late := s.tell("late", "-p 8082:7000")
		if reply, err := late.Ask("tcp", clientIP+":7000"); err != nil || reply.Client.Addr().String() != hostIP {
			t.Errorf("a container that comes meanwhile: %+v, %v", reply, err)
		}
		s.docker.Run("rm", "--force", "gone")
		ends.Dead(t)
		s.docker.Run("network", "disconnect", "bridge", "web")
		if _, err := kept.Ask(); err != nil {
			t.Errorf("on the network that stays: %v", err)
		}

		line.mend()
		s.reaches(8080, "web")
		s.reaches(8081, "")
		s.reaches(8082, "late")
		if _, err := kept.Ask(); err != nil {
			t.Errorf("on the network that stays, with Docker back: %v", err)
		}
		s.samePorts()
		s.healthy(3)
	})
}

// line is a socket that leads to Docker's until it is cut.
type line struct {
	t          *testing.T
	socket, to string

	mu       sync.Mutex
	listener net.Listener
	open     []net.Conn
}

func newLine(t *testing.T, socket, to string) *line {
	t.Helper()
	l := &line{t: t, socket: socket, to: to}
	l.mend()
	t.Cleanup(l.cut)
	return l
}

// mend lets connections pass.
func (l *line) mend() {
	l.t.Helper()
	listener, err := net.Listen("unix", l.socket)
	if err != nil {
		l.t.Fatal(err)
	}
	l.listener = listener
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", l.to)
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.open = append(l.open, near, far)
			l.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					io.Copy(way[0], way[1])
					way[0].Close()
				}()
			}
		}
	}()
}

// cut ends all connections and takes no more.
func (l *line) cut() {
	l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.open {
		conn.Close()
	}
	l.open = nil
}
