package docker

import (
	"fmt"
	"syscall"

	"github.com/ebnet/ebnet/test/lab"
)

// lifeScenarios are about containers that end, come back and change.
func lifeScenarios() []scenario {
	return []scenario{
		{
			name: "stop, start, restart, remove",
			play: func(s *stage) {
				s.run("web", "-p 8080:7000 -p 8080:7000/udp")
				ask := func(when string) {
					for _, network := range []string{"tcp", "udp"} {
						s.askAs("client asks "+network+" after "+when, "client", network, hostIP+":8080")
					}
				}
				ask("run")
				s.docker.Run("stop", "web")
				ask("stop")
				s.docker.Run("start", "web")
				s.enter("web", ":7000")
				ask("start")
				s.askAs("web asks client after start", "web", "tcp", clientIP+":7000")
				s.docker.Run("restart", "web")
				s.enter("web", ":7000")
				ask("restart")
				s.docker.Run("rm", "--force", "web")
				ask("rm")
			},
			want: views{
				"client asks tcp after restart": "web sees client",
				"client asks tcp after rm":      "refused",
				"client asks tcp after run":     "web sees client",
				"client asks tcp after start":   "web sees client",
				"client asks tcp after stop":    "refused",
				"client asks udp after restart": "web sees client",
				"client asks udp after rm":      "refused",
				"client asks udp after run":     "web sees client",
				"client asks udp after start":   "web sees client",
				"client asks udp after stop":    "refused",
				"web asks client after start":   "client sees host",
			},
		},
		{
			name: "port moves to another container",
			play: func(s *stage) {
				for _, name := range []string{"first", "second", "third"} {
					s.run(name, "-p 8080:7000 -p 8080:7000/udp")
					for _, network := range []string{"tcp", "udp"} {
						// From the same port each time: nothing of the old one may catch it.
						c := s.client.Talk(network, clientIP+":5555", hostIP+":8080")
						s.talk(network+" with "+name, c)
						c.Close()
					}
					s.docker.Run("rm", "--force", name)
				}
			},
			want: views{
				"tcp with first":  "first sees client",
				"tcp with second": "second sees client",
				"tcp with third":  "third sees client",
				"udp with first":  "first sees client",
				"udp with second": "second sees client",
				"udp with third":  "third sees client",
			},
		},
		{
			name: "restart policy",
			play: func(s *stage) {
				c := s.run("web", "--restart always -p 8080:7000")
				s.ask("client", "host:8080/tcp")
				s.settle()
				if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
					s.t.Fatal(err)
				}
				lab.Eventually(s.t, wait, func() error {
					// Docker also says that it runs while it waits to be started again.
					state := s.docker.Run("inspect", "--format", "{{.RestartCount}} {{ne .State.Pid 0}}", "web")
					if state != "1 true" {
						return lab.Still("not restarted: " + state)
					}
					return nil
				})
				s.enter("web", ":7000")
				s.askAs("client asks after restart", "client", "tcp", hostIP+":8080")
				s.askAs("web asks client after restart", "web", "tcp", clientIP+":7000")
			},
			want: views{
				"client asks after restart":     "web sees client",
				"client asks host:8080/tcp":     "web sees client",
				"web asks client after restart": "client sees host",
			},
		},
		{
			name: "pause and rename",
			play: func(s *stage) {
				s.run("web", "-p 8080:7000")
				c := s.client.Talk("tcp", "", hostIP+":8080")
				s.client.MustAsk(c)
				s.docker.Run("pause", "web")
				s.askAs("client asks a paused container", "client", "tcp", hostIP+":8080")
				s.docker.Run("unpause", "web")
				s.docker.Run("rename", "web", "shop")
				s.talk("connection over pause and rename", c)
				s.enter("shop", ":7000")
				s.ask("client", "host:8080/tcp")
				s.ask("shop", "client:7000/tcp")
			},
			want: views{
				"client asks a paused container":   "no answer",
				"client asks host:8080/tcp":        "web sees client",
				"connection over pause and rename": "web sees client",
				"shop asks client:7000/tcp":        "client sees host",
			},
		},
		{
			name: "network modes",
			play: func(s *stage) {
				s.run("web", "-p 8080:7000 -p 8081:7001")
				s.run("beside", "--network container:web", ":7001")
				s.run("onhost", "--network host", ":7002")
				s.run("alone", "--network none")
				s.ask("client", "host:8080/tcp", "host:8081/tcp", "host:7002/tcp", "host:7002/udp")
				s.ask("onhost", "host:8080/tcp", "localhost:8080/tcp", "web:7000/tcp", "client:7000/tcp")
				s.ask("web", "host:7002/tcp")
				s.ask("alone", "host:8080/tcp", "client:7000/tcp")
			},
			want: views{
				"alone asks client:7000/tcp":     "unreachable",
				"alone asks host:8080/tcp":       "unreachable",
				"client asks host:7002/tcp":      "onhost sees client",
				"client asks host:7002/udp":      "onhost sees client",
				"client asks host:8080/tcp":      "web sees client",
				"client asks host:8081/tcp":      "beside sees client",
				"onhost asks client:7000/tcp":    "client sees host",
				"onhost asks host:8080/tcp":      "web sees host",
				"onhost asks localhost:8080/tcp": "web sees gateway of bridge",
				"onhost asks web:7000/tcp":       "web sees gateway of bridge",
				"web asks host:7002/tcp":         "onhost sees web",
			},
			ebnet: []difference{
				{shortWay, views{
					"onhost asks host:8080/tcp": "web sees gateway of bridge",
				}},
			},
		},
		{
			name: "restart of dockerd",
			play: func(s *stage) {
				s.network("front", "")
				s.run("web", "--restart always -p 8080:7000 -p 8080:7000/udp")
				s.run("other", "--restart always --network front -p 8081:7000")
				s.run("gone", "-p 8082:7000")
				s.docker.Restart()
				s.enter("web", ":7000")
				s.enter("other", ":7000")
				s.caughtUp()
				s.ask("client", "host:8080/tcp", "host:8080/udp", "host:8081/tcp", "host:8082/tcp")
				s.ask("host", "localhost:8080/tcp", "localhost:8081/tcp")
				s.ask("web", "client:7000/tcp", "host:8081/tcp")
				s.ask("other", "client:7000/tcp", "host:8080/tcp")
			},
			want: views{
				"client asks host:8080/tcp":    "web sees client",
				"client asks host:8080/udp":    "web sees client",
				"client asks host:8081/tcp":    "other sees client",
				"client asks host:8082/tcp":    "refused",
				"host asks localhost:8080/tcp": "web sees gateway of bridge",
				"host asks localhost:8081/tcp": "other sees gateway of front",
				"other asks client:7000/tcp":   "client sees host",
				"other asks host:8080/tcp":     "web sees gateway of bridge",
				"web asks client:7000/tcp":     "client sees host",
				"web asks host:8081/tcp":       "other sees gateway of front",
			},
			ebnet: []difference{
				{realClient, views{
					"other asks host:8080/tcp": "web sees other",
					"web asks host:8081/tcp":   "other sees web",
				}},
			},
		},
		{
			name: "crash of dockerd",
			play: func(s *stage) {
				s.run("web", "--restart always -p 8080:7000")
				s.docker.Kill()
				s.docker.Start()
				s.enter("web", ":7000")
				s.caughtUp()
				s.ask("client", "host:8080/tcp")
				s.ask("host", "localhost:8080/tcp")
				s.ask("web", "client:7000/tcp")
			},
			want: views{
				"client asks host:8080/tcp":    "web sees client",
				"host asks localhost:8080/tcp": "web sees gateway of bridge",
				"web asks client:7000/tcp":     "client sees host",
			},
		},
		{
			name: "live restore",
			play: func(s *stage) {
				s.liveRestore(true)
				s.run("web", "-p 8080:7000 -p 8080:7000/udp")
				c := s.client.Talk("tcp", "", hostIP+":8080")
				s.client.MustAsk(c)
				s.docker.Stop()
				s.talk("connection while dockerd is away", c)
				s.askAs("client asks tcp while dockerd is away", "client", "tcp", hostIP+":8080")
				s.askAs("client asks udp while dockerd is away", "client", "udp", hostIP+":8080")
				s.askAs("host asks localhost while dockerd is away", "host", "tcp", "127.0.0.1:8080")
				s.askAs("web asks client while dockerd is away", "web", "tcp", clientIP+":7000")
				s.docker.Start()
				s.talk("connection when dockerd is back", c)
				s.ask("client", "host:8080/tcp", "host:8080/udp")
				s.ask("web", "client:7000/tcp")
				s.settle()
				s.docker.Run("rm", "--force", "web")
				s.askAs("client asks after rm", "client", "tcp", hostIP+":8080")
				s.liveRestore(false)
			},
			want: views{
				"client asks after rm":                      "refused",
				"client asks host:8080/tcp":                 "web sees client",
				"client asks host:8080/udp":                 "web sees client",
				"client asks tcp while dockerd is away":     "web sees client",
				"client asks udp while dockerd is away":     "web sees client",
				"connection when dockerd is back":           "web sees client",
				"connection while dockerd is away":          "web sees client",
				"host asks localhost while dockerd is away": "refused",
				"web asks client while dockerd is away":     "client sees host",
				"web asks client:7000/tcp":                  "client sees host",
			},
			ebnet: []difference{
				{noProxy, views{
					"host asks localhost while dockerd is away": "web sees gateway of bridge",
				}},
			},
		},
	}
}

// liveRestore has dockerd leave its containers alone when it ends, or not.
func (s *stage) liveRestore(on bool) {
	s.docker.Configure(map[string]any{"live-restore": on})
	s.docker.Reload()
	lab.Eventually(s.t, wait, func() error {
		if got := s.docker.Run("info", "--format", "{{.LiveRestoreEnabled}}"); got != fmt.Sprint(on) {
			return lab.Still("live restore is " + got)
		}
		return nil
	})
}
