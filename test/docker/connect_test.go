package docker

import "github.com/ebnet/ebnet/test/lab"

// connectScenarios are about containers on several networks, and between networks.
func connectScenarios() []scenario {
	return []scenario{
		{
			name: "connect and disconnect",
			play: func(s *stage) {
				s.network("front", "")
				s.network("back", "")
				s.run("web", "--network front -p 8080:7000")
				s.run("inback", "--network back")
				s.ask("inback", "web:7000/tcp")
				s.settle()
				s.docker.Run("network", "connect", "--alias", "www", "back", "web")
				s.enter("web", ":7000")
				s.ask("inback", "web on back:7000/tcp", "web on back:7000/udp")
				s.askByName("inback", "tcp", "www:7000")
				s.ask("web", "inback:7000/tcp", "client:7000/tcp")
				s.ask("client", "host:8080/tcp")
				s.settle()
				s.docker.Run("network", "disconnect", "front", "web")
				s.askAs("client asks after disconnect", "client", "tcp", hostIP+":8080")
				s.askAs("web asks inback after disconnect", "web", "tcp", s.docker.Container("inback").Addr.String()+":7000")
				s.askAs("web asks client after disconnect", "web", "tcp", clientIP+":7000")
				s.docker.Run("network", "disconnect", "back", "web")
				s.askAs("client asks after both", "client", "tcp", hostIP+":8080")
				s.docker.Run("network", "connect", "back", "web")
				s.enter("web", ":7000")
				s.askAs("client asks after connect", "client", "tcp", hostIP+":8080")
				s.askAs("web asks client after connect", "web", "tcp", clientIP+":7000")
			},
			want: views{
				"client asks after both":           "refused",
				"client asks after connect":        "web sees client",
				"client asks after disconnect":     "web sees client",
				"client asks host:8080/tcp":        "web sees client",
				"inback asks by name www:7000/tcp": "web sees inback",
				"inback asks web on back:7000/tcp": "web sees inback",
				"inback asks web on back:7000/udp": "web sees inback",
				"inback asks web:7000/tcp":         "no answer",
				"web asks client after connect":    "client sees host",
				"web asks client after disconnect": "client sees host",
				"web asks client:7000/tcp":         "client sees host",
				"web asks inback after disconnect": "inback sees web on back",
				"web asks inback:7000/tcp":         "inback sees web on back",
			},
		},
		{
			name: "two networks",
			play: func(s *stage) {
				s.network("front", "")
				s.network("back", "")
				s.docker.Run("create", "--name", "web", "--network", "front", "-p", "8080:7000", lab.DockerImage, "traffic", "tell", "web", ":7000")
				s.docker.Run("network", "connect", "back", "web")
				s.docker.Run("start", "web")
				s.enter("web", ":7000")
				s.run("one", "--network front")
				s.run("two", "--network back")
				s.ask("client", "host:8080/tcp")
				s.ask("one", "web on front:7000/tcp", "web on back:7000/tcp", "two:7000/tcp", "two:7000/udp", "host:8080/tcp")
				s.ask("two", "web on back:7000/tcp", "one:7000/tcp", "host:8080/tcp")
				s.ask("web", "one:7000/tcp", "two:7000/tcp", "client:7000/tcp", "host:8080/tcp")
				s.askByName("one", "tcp", "web:7000")
				s.askByName("two", "tcp", "web:7000")
			},
			want: views{
				"client asks host:8080/tcp":      "web sees client",
				"one asks by name web:7000/tcp":  "web sees one",
				"one asks host:8080/tcp":         "web sees gateway of back",
				"one asks two:7000/tcp":          "no answer",
				"one asks two:7000/udp":          "no answer",
				"one asks web on back:7000/tcp":  "no answer",
				"one asks web on front:7000/tcp": "web sees one",
				"two asks by name web:7000/tcp":  "web sees two",
				"two asks host:8080/tcp":         "web sees gateway of back",
				"two asks one:7000/tcp":          "no answer",
				"two asks web on back:7000/tcp":  "web sees two",
				"web asks client:7000/tcp":       "client sees host",
				"web asks host:8080/tcp":         "web sees gateway of back",
				"web asks one:7000/tcp":          "one sees web on front",
				"web asks two:7000/tcp":          "two sees web on back",
			},
			ebnet: []difference{
				{realClient, views{
					"one asks host:8080/tcp": "web sees one",
					"two asks host:8080/tcp": "web sees two",
				}},
			},
		},
		{
			name: "ping",
			play: func(s *stage) {
				s.network("front", "")
				s.run("web", "--network front")
				s.run("other", "--network front")
				s.run("old", "")
				s.ping("other", "client", clientIP)
				s.ping("other", "host", hostIP)
				s.ping("other", "web", "web")
				s.ping("old", "web", s.docker.Container("web").Addr.String())
				s.ping("old", "client", clientIP)
			},
			want: views{
				"old pings client":   "answer",
				"old pings web":      "no answer",
				"other pings client": "answer",
				"other pings host":   "answer",
				"other pings web":    "answer",
			},
		},
	}
}
