package docker

import (
	"strings"
	"sync"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// A source list of a port that Docker publishes outlasts the container: whatever is
// published there next has it from its first moment, until somebody ends the list.
func TestDockerListOutlastsContainer(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		const strangerIP = "198.51.100.3"
		s := adoptedStage(t, version, lab.DockerOptions{})
		s.client.IP("addr", "add", strangerIP+"/24", "dev", "eth0")
		stranger := func() { s.client.UnreachableFrom("tcp", strangerIP+":0", hostIP+":8080") }

		s.tell("web", "-p 8080:7000")
		s.agent.Ebnet("allow", "8080", "--set", clientIP+"/32")
		s.reaches(8080, "web")
		stranger()
		end := make(chan struct{})
		var knocking sync.WaitGroup
		for range 4 {
			knocking.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
						stranger()
					}
				}
			})
		}
		again := func(when, name string) {
			t.Helper()
			s.reaches(8080, name)
			stranger()
			if t.Failed() {
				t.Fatal(when)
			}
		}
		s.docker.Run("rm", "--force", "web")
		if res := s.agent.Try("allow", "8080", "--add", strangerIP); res.Code == 0 || !strings.Contains(res.Err, "source list is kept") {
			t.Errorf("allow without a container: status %d, %q", res.Code, res.Err)
		}
		s.tell("web", "-p 8080:7000")
		again("after rm and run", "web")
		if told := "source list of 0.0.0.0:8080/tcp applies to docker/web"; !strings.Contains(s.agent.Log(), told) {
			t.Errorf("the log has no %q", told)
		}
		s.agent.Stop()
		s.agent.Start()
		again("after a restart of the agent", "web")
		s.docker.Run("rm", "--force", "web")
		s.agent.Kill()
		s.agent.Start()
		s.tell("shop", "-p 8080:7000")
		again("with another name and agent", "shop")
		s.docker.Run("rm", "--force", "shop")

		file := s.File("compose.yaml", composeFile)
		compose := func(args ...string) { s.docker.Compose(file, append([]string{"--project-name", "shop"}, args...)...) }
		compose("up", "--detach")
		again("with compose", "web")
		compose("up", "--detach", "--force-recreate", "--timeout", "0", "web")
		again("recreated by compose", "web")
		compose("down", "--timeout", "0")
		compose("up", "--detach")
		again("after compose's down and up", "web")

		close(end)
		knocking.Wait()
		s.agent.Ebnet("allow", "8080", "--any")
		compose("up", "--detach", "--force-recreate", "--timeout", "0", "web")
		s.reaches(8080, "web")
		s.client.MustAsk(s.client.Talk("tcp", strangerIP+":0", hostIP+":8080")) // it is open again
	})
}
