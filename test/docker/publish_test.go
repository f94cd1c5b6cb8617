package docker

import (
	"strings"

	"github.com/ebnet/ebnet/test/lab"
)

// publishScenarios are about published ports.
func publishScenarios() []scenario {
	return []scenario{
		{
			name: "publish",
			play: func(s *stage) {
				s.run("web", "-p 8080:7000 -p 8080:7000/udp")
				s.run("other", "")
				everywhere := []string{"host:8080/tcp", "host:8080/udp", "otherhost:8080/tcp", "otherhost:8080/udp"}
				s.ask("client", everywhere...)
				s.ask("client", "host:8081/tcp", "web:7000/tcp", "other:7000/tcp")
				s.ask("host", everywhere...)
				s.ask("host", "localhost:8080/tcp", "localhost:8080/udp", "gateway of bridge:8080/tcp", "web:7000/tcp", "web:7000/udp")
				s.ask("other", everywhere...)
				s.ask("other", "gateway of bridge:8080/tcp", "web:7000/tcp", "web:7000/udp")
				s.ask("web", "host:8080/tcp", "host:8080/udp", "gateway of bridge:8080/tcp", "web:7000/tcp", "other:7000/tcp")
				s.ask("web", "client:7000/tcp", "client:7000/udp")
			},
			want: views{
				"client asks host:8080/tcp":             "web sees client",
				"client asks host:8080/udp":             "web sees client",
				"client asks host:8081/tcp":             "refused",
				"client asks other:7000/tcp":            "no answer",
				"client asks otherhost:8080/tcp":        "web sees client",
				"client asks otherhost:8080/udp":        "web sees client",
				"client asks web:7000/tcp":              "web sees client",
				"host asks gateway of bridge:8080/tcp":  "web sees gateway of bridge",
				"host asks host:8080/tcp":               "web sees host",
				"host asks host:8080/udp":               "web sees host",
				"host asks localhost:8080/tcp":          "web sees gateway of bridge",
				"host asks localhost:8080/udp":          "web sees gateway of bridge",
				"host asks otherhost:8080/tcp":          "web sees host",
				"host asks otherhost:8080/udp":          "web sees host",
				"host asks web:7000/tcp":                "web sees gateway of bridge",
				"host asks web:7000/udp":                "web sees gateway of bridge",
				"other asks gateway of bridge:8080/tcp": "web sees gateway of bridge",
				"other asks host:8080/tcp":              "web sees gateway of bridge",
				"other asks host:8080/udp":              "no answer",
				"other asks otherhost:8080/tcp":         "web sees gateway of bridge",
				"other asks otherhost:8080/udp":         "no answer",
				"other asks web:7000/tcp":               "web sees other",
				"other asks web:7000/udp":               "web sees other",
				"web asks client:7000/tcp":              "client sees host",
				"web asks client:7000/udp":              "client sees host",
				"web asks gateway of bridge:8080/tcp":   "web sees gateway of bridge",
				"web asks host:8080/tcp":                "web sees gateway of bridge",
				"web asks host:8080/udp":                "no answer",
				"web asks other:7000/tcp":               "other sees web",
				"web asks web:7000/tcp":                 "web sees web",
			},
			ebnet: []difference{
				{realClient, views{
					"other asks gateway of bridge:8080/tcp": "web sees other",
					"other asks host:8080/tcp":              "web sees other",
					"other asks otherhost:8080/tcp":         "web sees other",
				}},
				{udpAnswers, views{
					"other asks host:8080/udp":      "web sees other",
					"other asks otherhost:8080/udp": "web sees other",
					"web asks host:8080/udp":        "web sees gateway of bridge",
				}},
				{shortWay, views{
					"host asks host:8080/tcp":      "web sees gateway of bridge",
					"host asks host:8080/udp":      "web sees gateway of bridge",
					"host asks otherhost:8080/tcp": "web sees gateway of bridge",
					"host asks otherhost:8080/udp": "web sees gateway of bridge",
				}},
				{portsOnly, views{
					"client asks web:7000/tcp": "no answer",
				}},
			},
		},
		{
			name: "publish all",
			play: func(s *stage) {
				s.run("web", "-P --expose 7000 --expose 7001/udp", ":7000", ":7001")
				for _, port := range []string{"7000/tcp", "7001/udp"} {
					number, network, _ := strings.Cut(port, "/")
					at := s.port("web", number+"/"+network)
					s.askAs("client asks -P "+port, "client", network, hostIP+":"+at)
					s.askAs("host asks -P "+port, "host", network, "127.0.0.1:"+at)
				}
			},
			want: views{
				"client asks -P 7000/tcp": "web:7000 sees client",
				"client asks -P 7001/udp": "web:7001 sees client",
				"host asks -P 7000/tcp":   "web:7000 sees gateway of bridge",
				"host asks -P 7001/udp":   "web:7001 sees gateway of bridge",
			},
		},
		{
			name: "port of Docker's choosing",
			play: func(s *stage) {
				s.run("one", "-p 7000")
				s.run("two", "-p 7000")
				if s.port("one", "7000/tcp") == s.port("two", "7000/tcp") {
					s.t.Error("two containers have the same port")
				}
				for _, name := range []string{"one", "two"} {
					s.askAs("client asks "+name, "client", "tcp", hostIP+":"+s.port(name, "7000/tcp"))
				}
			},
			want: views{
				"client asks one": "one sees client",
				"client asks two": "two sees client",
			},
		},
		{
			name: "range",
			play: func(s *stage) {
				s.run("web", "-p 8000-8003:7000-7003 -p 8000-8003:7000-7003/udp", ":7000", ":7001", ":7002", ":7003")
				s.ask("client", "host:7999/tcp", "host:8000/tcp", "host:8002/tcp", "host:8003/tcp", "host:8003/udp", "host:8004/tcp")
			},
			want: views{
				"client asks host:7999/tcp": "refused",
				"client asks host:8000/tcp": "web:7000 sees client",
				"client asks host:8002/tcp": "web:7002 sees client",
				"client asks host:8003/tcp": "web:7003 sees client",
				"client asks host:8003/udp": "web:7003 sees client",
				"client asks host:8004/tcp": "refused",
			},
		},
		{
			name: "one of a range",
			play: func(s *stage) {
				s.run("one", "-p 8000-8010:7000")
				s.run("two", "-p 8000-8010:7000")
				for _, name := range []string{"one", "two"} {
					s.see("port of "+name, s.port(name, "7000/tcp"))
				}
				s.ask("client", "host:8000/tcp", "host:8001/tcp", "host:8002/tcp")
			},
			want: views{
				"client asks host:8000/tcp": "one sees client",
				"client asks host:8001/tcp": "two sees client",
				"client asks host:8002/tcp": "refused",
				"port of one":               "8000",
				"port of two":               "8001",
			},
		},
		{
			name: "localhost",
			play: func(s *stage) {
				s.run("web", "-p 127.0.0.1:8080:7000 -p 127.0.0.1:8080:7000/udp")
				s.run("other", "")
				s.ask("client", "host:8080/tcp", "host:8080/udp")
				s.ask("host", "localhost:8080/tcp", "localhost:8080/udp", "host:8080/tcp", "gateway of bridge:8080/tcp")
				s.ask("other", "host:8080/tcp", "gateway of bridge:8080/tcp")
			},
			want: views{
				"client asks host:8080/tcp":             "refused",
				"client asks host:8080/udp":             "refused",
				"host asks gateway of bridge:8080/tcp":  "refused",
				"host asks host:8080/tcp":               "refused",
				"host asks localhost:8080/tcp":          "web sees gateway of bridge",
				"host asks localhost:8080/udp":          "web sees gateway of bridge",
				"other asks gateway of bridge:8080/tcp": "refused",
				"other asks host:8080/tcp":              "refused",
			},
		},
		{
			name: "one of the host's addresses",
			play: func(s *stage) {
				s.run("one", "-p "+hostIP+":8080:7000 -p "+hostIP+":8081:7000")
				s.run("other", "-p "+otherIP+":8080:7000")
				for _, from := range []string{"client", "host", "one"} {
					s.ask(from, "host:8080/tcp", "otherhost:8080/tcp", "otherhost:8081/tcp")
				}
				s.ask("host", "localhost:8080/tcp")
			},
			want: views{
				"client asks host:8080/tcp":      "one sees client",
				"client asks otherhost:8080/tcp": "other sees client",
				"client asks otherhost:8081/tcp": "refused",
				"host asks host:8080/tcp":        "one sees host",
				"host asks localhost:8080/tcp":   "refused",
				"host asks otherhost:8080/tcp":   "other sees host",
				"host asks otherhost:8081/tcp":   "refused",
				"one asks host:8080/tcp":         "one sees gateway of bridge",
				"one asks otherhost:8080/tcp":    "other sees gateway of bridge",
				"one asks otherhost:8081/tcp":    "refused",
			},
			ebnet: []difference{
				{realClient, views{
					"one asks otherhost:8080/tcp": "other sees one",
				}},
				{shortWay, views{
					"host asks host:8080/tcp":      "one sees gateway of bridge",
					"host asks otherhost:8080/tcp": "other sees gateway of bridge",
				}},
			},
		},
		{
			name: "docker0's address",
			play: func(s *stage) {
				s.run("web", "-p 172.17.0.1:8080:7000")
				s.run("other", "")
				s.ask("client", "host:8080/tcp")
				s.ask("host", "gateway of bridge:8080/tcp", "localhost:8080/tcp")
				s.ask("other", "gateway of bridge:8080/tcp", "host:8080/tcp")
			},
			want: views{
				"client asks host:8080/tcp":             "refused",
				"host asks gateway of bridge:8080/tcp":  "web sees gateway of bridge",
				"host asks localhost:8080/tcp":          "refused",
				"other asks gateway of bridge:8080/tcp": "web sees gateway of bridge",
				"other asks host:8080/tcp":              "refused",
			},
			ebnet: []difference{
				{realClient, views{
					"other asks gateway of bridge:8080/tcp": "web sees other",
				}},
			},
		},
		{
			name: "one container port on several host ports",
			play: func(s *stage) {
				s.run("web", "-p 8080:7000 -p 8081:7000 -p 8082:7000/udp")
				s.ask("client", "host:8080/tcp", "host:8081/tcp", "host:8082/udp", "host:8082/tcp")
			},
			want: views{
				"client asks host:8080/tcp": "web sees client",
				"client asks host:8081/tcp": "web sees client",
				"client asks host:8082/tcp": "refused",
				"client asks host:8082/udp": "web sees client",
			},
		},
		{
			name: "port that is taken",
			play: func(s *stage) {
				s.run("web", "-p 8080:7000")
				s.see("second container", s.refusal("-p 8080:7000"))
				taken := s.host.Start("traffic", "listen", ":8090")
				taken.WaitFor("listening")
				s.see("container on a process's port", s.refusal("-p 8090:7000"))
				taken.Kill()
				s.see("process on a container's port", bound(s, "tcp4", ":8080"))
				s.docker.Run("rm", "--force", "web")
				s.see("process on a removed container's port", bound(s, "tcp4", ":8080"))
				s.ask("client", "host:8080/tcp")
			},
			want: views{
				"client asks host:8080/tcp":             "refused",
				"container on a process's port":         "address already in use",
				"process on a container's port":         "refused",
				"process on a removed container's port": "has it",
				"second container":                      "port is already allocated",
			},
		},
	}
}

// refusal is the reason for which Docker does not run a container.
func (s *stage) refusal(flags string) string {
	res := s.docker.Try(append(append([]string{"run", "--rm"}, strings.Fields(flags)...), lab.DockerImage, "true")...)
	for _, reason := range []string{"port is already allocated", "address already in use"} {
		if res.Code != 0 && strings.Contains(res.Err, reason) {
			return reason
		}
	}
	return res.Out + res.Err
}

// bound says whether a process on the host can have a port.
func bound(s *stage, network, addr string) string {
	if err := s.host.Bind(network, addr); err != nil {
		return "refused"
	}
	return "has it"
}
