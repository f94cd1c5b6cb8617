package docker

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// A port that ebnet publishes on a container is nobody else's while the container is
// stopped, and is the container's again when it starts.
func TestDockerKeptPort(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := adoptedStage(t, version, lab.DockerOptions{})
		run := func(words ...string) lab.Result {
			return s.docker.Try(append([]string{"run", "--detach"}, words...)...)
		}
		run("--name", "web", lab.DockerImage, "traffic", "tell", "web", ":7000")
		s.agent.Ebnet("publish", "9000:7000", "--to", "web")
		s.docker.Run("stop", "--time", "0", "web")
		lab.Eventually(t, wait, func() error {
			if _, err := s.client.Ask("tcp", hostIP+":9000"); !errors.Is(err, syscall.ECONNREFUSED) {
				return errors.Join(lab.Still("not refused"), err)
			}
			return nil
		})
		if res := s.host.Try("traffic", "serve", ":9000"); res.Code == 0 || !strings.Contains(res.Err, "address already in use") {
			t.Errorf("a process of the host has the port: %+v", res)
		}
		if res := run("--publish", "9000:7000", lab.DockerImage, "true"); res.Code == 0 || !strings.Contains(res.Err, "address already in use") {
			t.Errorf("another container has the port: %+v", res)
		}
		s.docker.Run("start", "web")
		lab.Eventually(t, wait, func() error {
			reply, err := s.client.Ask("tcp", hostIP+":9000")
			if err == nil && reply.Server != "web" {
				return lab.Still("answered by " + reply.Server)
			}
			return err
		})
		s.agent.Ebnet("unpublish", "9000")
		s.docker.Run("rm", "--force", "web")
		if res := run("--publish", "9000:7000", lab.DockerImage, "true"); res.Code != 0 {
			t.Errorf("the port is still taken: %s", res.Err)
		}
	})
}
