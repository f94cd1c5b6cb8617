package docker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// What ebnet publishes on a container, and who may connect to what Docker publishes, is
// kept for as long as the container is there, whatever becomes of its name and address.
func TestDockerOwnPublishes(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := adoptedStage(t, version, lab.DockerOptions{LiveRestore: true})
		before := s.tell("web", "-p 8080:7000").Addr
		s.agent.Ebnet("publish", "9000:7000", "--to", "web")
		s.reaches(9000, "web")

		s.docker.Run("stop", "--time", "0", "web")
		s.reaches(9000, "")
		s.tell("thief", "") // of its address
		s.docker.Run("start", "web")
		after := s.listens("web").Addr
		if after == before {
			t.Fatalf("still at %s", after)
		}
		s.reaches(9000, "web")
		s.docker.Run("rename", "web", "shop")
		lab.Eventually(t, wait, func() error {
			if out := s.agent.Ebnet("port", "shop"); !strings.Contains(out, "9000") {
				return lab.Still("ebnet port shop: " + out)
			}
			return nil
		})
		s.reaches(9000, "web")

		s.agent.Ebnet("allow", "8080", "--set", "192.0.2.0/24")
		kept := func(when string) {
			t.Helper()
			s.reaches(9000, "web")
			lab.Eventually(t, wait, func() error {
				for _, p := range s.agent.Ports() {
					if p.HostPort == 8080 && fmt.Sprint(p.Allow) == "[192.0.2.0/24]" {
						return nil
					}
				}
				return fmt.Errorf("%s: %+v", when, s.agent.Ports())
			})
			if reply, err := s.client.AskSoon("tcp", hostIP+":8080"); err == nil {
				t.Errorf("%s: who is not on the list is answered: %+v", when, reply)
			}
		}
		kept("at once")
		s.docker.Run("restart", "--time", "0", "shop")
		s.listens("shop")
		kept("after a restart of the container")
		s.agent.Kill()
		s.agent.Start()
		kept("after a restart of the agent")
		s.docker.Kill()
		s.docker.Start()
		kept("after a restart of dockerd")
		s.agent.Ebnet("allow", "8080", "--add", clientIP+"/32")
		s.reaches(8080, "web")

		s.docker.Run("rm", "--force", "shop")
		s.reaches(9000, "")
		lab.Eventually(t, wait, func() error {
			if ports := s.agent.Ports(); len(ports) > 0 {
				return fmt.Errorf("after rm: %+v", ports)
			}
			return nil
		})
		if err := s.host.Bind("tcp4", ":9000"); err != nil {
			t.Errorf("after rm: %v", err)
		}
		s.healthy(1)
	})
}

// A host port has one user, and whoever comes second is told who that is.
func TestDockerConflicts(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		s := adoptedStage(t, version, lab.DockerOptions{})
		s.tell("web", "-p 8080:7000")
		s.tell("other", "")
		refused := func(what string, res lab.Result, words ...string) {
			t.Helper()
			for _, word := range words {
				if res.Code == 0 || !strings.Contains(res.Err, word) || len(words) > 1 && strings.Count(res.Err, "\n") != 1 {
					t.Errorf("%s: status %d, %q has no %q", what, res.Code, res.Err, word)
				}
			}
		}
		refused("ebnet after Docker", s.agent.Try("publish", "8080:7000", "--to", "other"), "ebnet: publish", "8080", "docker/web")
		s.agent.Ebnet("publish", "9000:7000", "--to", "other")
		refused("Docker after ebnet", s.docker.Try("run", "--name", "late", "--publish", "9000:7000", lab.DockerImage, "true"), "address already in use")
		s.docker.Run("rm", "late")
		holder := s.host.Start("traffic", "listen", ":9100")
		holder.WaitFor("listening")
		refused("ebnet after a process", s.agent.Try("publish", "9100:7000", "--to", "other"), "9100", "traffic")
		refused("Docker after a process", s.docker.Try("run", "--name", "late", "--publish", "9100:7000", lab.DockerImage, "true"), "address already in use")
		s.docker.Run("rm", "late")
		s.reaches(8080, "web")
		s.reaches(9000, "other")
		// What ebnet gives back Docker may have, and the other way round.
		s.agent.Ebnet("unpublish", "9000")
		s.tell("late", "-p 9000:7000")
		s.reaches(9000, "late")
		s.docker.Run("rm", "--force", "late")
		lab.Eventually(t, wait, func() error {
			if res := s.agent.Try("publish", "9000:7000", "--to", "other"); res.Code != 0 {
				return lab.Still(res.Err)
			}
			return nil
		})
		s.reaches(9000, "other")
		s.healthy(2)
		for _, row := range []struct{ command, instead string }{
			{"sandbox rm web", `"docker rm web"`},
			{"network rm bridge", "Docker, which keeps it"},
			{"network connect bridge web", `"docker network connect bridge web"`},
			{"network disconnect bridge web", `"docker network disconnect bridge web"`},
			{"network connect default web", "Docker's networks only"},
			{"unpublish 8080", `"docker rm web"`},
			{"sandbox create mine --network bridge", "its containers only"},
			{"sandbox create docker/mine", "docker/"},
			{"network create docker/mine", "docker/"},
		} {
			refused(row.command, s.agent.Try(strings.Fields(row.command)...), "ebnet: ", row.instead)
		}
		s.reaches(8080, "web")
	})
}
