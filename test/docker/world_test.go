package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/engine/docker"
	"github.com/ebnet/ebnet/test/lab"
)

// dockerWait is how long what Docker did may take to be known.
const dockerWait = 30 * time.Second

// watcher follows a real Docker daemon, with lists so rare that events have to do.
type watcher struct {
	*lab.Docker
	t      *testing.T
	engine *docker.Engine

	mu    sync.Mutex
	last  engine.World
	broke error                    // what stays said of each world, when it was not so
	stays func(engine.World) error // nil: nothing has to stay
}

func watchDocker(t *testing.T, version lab.DockerVersion, options lab.DockerOptions) *watcher {
	t.Helper()
	w := &watcher{Docker: lab.New(t).Machine("host").Docker(version, options), t: t}
	w.engine = docker.New(docker.Options{Socket: w.Socket(), Interval: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.engine.Run(ctx, w.take) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watcher) take(world engine.World) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = world
	if w.stays != nil && w.broke == nil {
		w.broke = w.stays(world)
	}
}

// sees waits until a world is as it has to be.
func (w *watcher) sees(what func(engine.World) error) {
	w.t.Helper()
	lab.Eventually(w.t, dockerWait, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		return what(w.last)
	})
}

// keeps makes something hold for all worlds from now on.
func (w *watcher) keeps(what func(engine.World) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stays = what
}

// kept says what did not stay as it had to.
func (w *watcher) kept() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broke
}

// is wants a container with these ports and networks; without any, one that does not
// run.
func is(name, ports string, networks ...string) func(engine.World) error {
	return func(w engine.World) error {
		i := slices.IndexFunc(w.Containers, func(c engine.Container) bool { return c.Name == name })
		if i < 0 {
			return fmt.Errorf("there is no %s", name)
		}
		c := w.Containers[i]
		var on []string
		for _, e := range c.Endpoints {
			on = append(on, e.Network)
		}
		if !slices.Equal(on, networks) || published(c) != ports || c.Running != (len(networks) > 0) {
			return fmt.Errorf("%s runs: %t, on %v, with ports %q", name, c.Running, on, published(c))
		}
		if !c.Running {
			return nil
		}
		_, err := os.Stat(c.Netns)
		return err
	}
}

// published writes a container's ports.
func published(c engine.Container) string {
	text := ""
	for _, p := range c.Ports {
		text += fmt.Sprintf("%s:%d-%d:%d-%d/%s ", p.HostIP, p.HostPort, p.HostPortEnd, p.Port, p.PortEnd, p.Proto)
	}
	return text
}

func isGone(name string) func(engine.World) error {
	return func(w engine.World) error {
		if is(name, "")(w) == nil || is(name, "", "bridge")(w) == nil {
			return errors.New(name + " is still there")
		}
		return nil
	}
}

// What Docker does is known from its events alone.
func TestDockerWorld(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		w := watchDocker(t, version, lab.DockerOptions{})
		w.Run("network", "create", "--subnet", "10.9.0.0/24", "--opt", "com.docker.network.driver.mtu=1400", "other")
		w.sees(func(world engine.World) error {
			if len(world.Networks) != 2 || world.Networks[1].Subnets[0].Prefix.String() != "10.9.0.0/24" || world.Networks[1].MTU != 1400 {
				return fmt.Errorf("networks: %+v", world.Networks)
			}
			return nil
		})
		w.Run("run", "--detach", "--name", "web", "--publish", "8000-8003:80-83", "--publish", "127.0.0.1:53:53/udp", lab.DockerImage)
		ports := "0.0.0.0:8000-8003:80-83/tcp 127.0.0.1:53-53:53-53/udp "
		w.sees(is("web", ports, "bridge"))
		w.Run("network", "connect", "other", "web")
		w.sees(is("web", ports, "bridge", "other"))
		w.Run("network", "disconnect", "bridge", "web")
		w.sees(is("web", ports, "other"))
		w.Run("rename", "web", "site")
		w.sees(is("site", ports, "other"))
		w.Run("pause", "site")
		w.Run("unpause", "site")
		w.Run("restart", "site")
		w.sees(is("site", ports, "other"))
		w.Run("stop", "site")
		w.sees(is("site", ""))
		w.Run("start", "site")
		w.sees(is("site", ports, "other"))
		w.Run("run", "--detach", "--name", "guest", "--network", "container:site", lab.DockerImage)
		w.sees(func(world engine.World) error {
			c := world.Containers
			if len(c) != 2 || c[0].Joins != c[1].ID || c[0].Netns != c[1].Netns {
				return fmt.Errorf("containers: %+v", c)
			}
			return nil
		})
		w.Run("rm", "--force", "guest", "site")
		w.Run("network", "rm", "other")
		w.Run("create", "--name", "last", lab.DockerImage)
		w.sees(is("last", ""))
		w.sees(isGone("site"))
		w.agrees()
	})
}

// agrees wants what events made of the world to be what a fresh look finds.
func (w *watcher) agrees() {
	w.t.Helper()
	w.sees(func(world engine.World) error {
		fresh, err := docker.Read(w.t.Context(), w.Socket())
		if err != nil {
			return err
		}
		if got, want := fmt.Sprint(world), fmt.Sprint(fresh); got != want {
			return fmt.Errorf("the events say\n%s\nDocker says\n%s", got, want)
		}
		return nil
	})
}

// Many containers that start and end at once leave nothing wrong.
func TestDockerWorldOfMany(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		w := watchDocker(t, version, lab.DockerOptions{})
		const each = 5
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				for j := range each {
					name := fmt.Sprintf("c%d-%d", i, j)
					args := []string{"run", "--detach", "--name", name, "--publish", "80", lab.DockerImage}
					if j%2 == 1 {
						args = []string{"run", "--rm", "--name", name, "--publish", "80", lab.DockerImage, "true"}
					}
					if res := w.Try(args...); res.Code != 0 {
						t.Errorf("run %s: %s", name, res.Err)
					}
				}
			})
		}
		all.Wait()
		w.agrees()
	})
}

// A daemon that restarts, or was killed, is followed again; what it does not touch is
// never missing.
func TestDockerWorldRestarts(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		w := watchDocker(t, version, lab.DockerOptions{LiveRestore: true})
		w.Run("run", "--detach", "--name", "web", "--publish", "8000:80", lab.DockerImage)
		stays := is("web", "0.0.0.0:8000-8000:80-80/tcp ", "bridge")
		w.sees(stays)
		w.keeps(stays)
		for i := range 3 {
			if i == 1 {
				w.Kill()
			} else {
				w.Stop()
			}
			lab.Eventually(t, dockerWait, func() error {
				if s := w.engine.State(); s.Connected || s.Err == nil {
					return fmt.Errorf("without Docker the state is %+v", s)
				}
				return nil
			})
			w.Start()
			name := fmt.Sprintf("later%d", i)
			w.Run("run", "--detach", "--name", name, lab.DockerImage)
			w.sees(is(name, "", "bridge"))
			lab.Eventually(t, dockerWait, func() error {
				if s := w.engine.State(); !s.Connected || s.Err != nil || s.Version == "" {
					return fmt.Errorf("with Docker the state is %+v", s)
				}
				return nil
			})
		}
		if err := w.kept(); err != nil {
			t.Error(err)
		}
		w.agrees()
	})
}

// Without live-restore, containers end with the daemon, and start again with it if that
// is their policy.
func TestDockerWorldStartsAgain(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		w := watchDocker(t, version, lab.DockerOptions{})
		w.Run("run", "--detach", "--restart", "always", "--name", "web", "--publish", "8000:80", lab.DockerImage)
		w.Run("run", "--detach", "--name", "other", lab.DockerImage)
		w.sees(is("web", "0.0.0.0:8000-8000:80-80/tcp ", "bridge"))
		w.Restart()
		w.sees(is("other", ""))
		w.sees(is("web", "0.0.0.0:8000-8000:80-80/tcp ", "bridge"))
		w.agrees()
	})
}
