package docker

// networkScenarios are about Docker's networks and their options.
func networkScenarios() []scenario {
	return []scenario{
		{
			name: "user network",
			play: func(s *stage) {
				s.network("front", "")
				s.run("web", "--network front -p 8080:7000 -p 8080:7000/udp --network-alias www")
				s.run("other", "--network front")
				s.run("old", "")
				s.ask("client", "host:8080/tcp", "host:8080/udp")
				s.ask("host", "localhost:8080/tcp", "localhost:8080/udp", "web:7000/tcp")
				s.ask("other", "web:7000/tcp", "web:7000/udp", "host:8080/tcp", "gateway of front:8080/tcp", "client:7000/tcp")
				s.ask("web", "host:8080/tcp", "host:8080/udp")
				s.ask("old", "web:7000/tcp", "host:8080/tcp", "host:8080/udp", "gateway of front:8080/tcp")
				s.askByName("other", "tcp", "web:7000")
				s.askByName("other", "udp", "www:7000")
				s.askByName("web", "tcp", "web:7000")
			},
			want: views{
				"client asks host:8080/tcp":            "web sees client",
				"client asks host:8080/udp":            "web sees client",
				"host asks localhost:8080/tcp":         "web sees gateway of front",
				"host asks localhost:8080/udp":         "web sees gateway of front",
				"host asks web:7000/tcp":               "web sees gateway of front",
				"old asks gateway of front:8080/tcp":   "web sees gateway of front",
				"old asks host:8080/tcp":               "web sees gateway of front",
				"old asks host:8080/udp":               "no answer",
				"old asks web:7000/tcp":                "no answer",
				"other asks by name web:7000/tcp":      "web sees other",
				"other asks by name www:7000/udp":      "web sees other",
				"other asks client:7000/tcp":           "client sees host",
				"other asks gateway of front:8080/tcp": "web sees gateway of front",
				"other asks host:8080/tcp":             "web sees gateway of front",
				"other asks web:7000/tcp":              "web sees other",
				"other asks web:7000/udp":              "web sees other",
				"web asks by name web:7000/tcp":        "web sees web",
				"web asks host:8080/tcp":               "web sees gateway of front",
				"web asks host:8080/udp":               "no answer",
			},
			ebnet: []difference{
				{realClient, views{
					"old asks gateway of front:8080/tcp":   "web sees old",
					"old asks host:8080/tcp":               "web sees old",
					"other asks gateway of front:8080/tcp": "web sees other",
					"other asks host:8080/tcp":             "web sees other",
				}},
				{udpAnswers, views{
					"old asks host:8080/udp": "web sees old",
					"web asks host:8080/udp": "web sees gateway of front",
				}},
			},
		},
		{
			name: "icc off",
			play: func(s *stage) {
				s.network("quiet", "-o com.docker.network.bridge.enable_icc=false")
				s.run("web", "--network quiet -p 8080:7000 -p 8080:7000/udp")
				s.run("other", "--network quiet")
				s.ask("other", "web:7000/tcp", "web:7000/udp", "host:8080/tcp", "host:8080/udp", "client:7000/tcp")
				s.ask("client", "host:8080/tcp", "host:8080/udp")
				s.ask("host", "localhost:8080/tcp", "web:7000/tcp")
				s.ask("web", "host:8080/tcp")
				s.ping("other", "web", "web")
			},
			want: views{
				"client asks host:8080/tcp":    "web sees client",
				"client asks host:8080/udp":    "web sees client",
				"host asks localhost:8080/tcp": "web sees gateway of quiet",
				"host asks web:7000/tcp":       "web sees gateway of quiet",
				"other asks client:7000/tcp":   "client sees host",
				"other asks host:8080/tcp":     "web sees gateway of quiet",
				"other asks host:8080/udp":     "no answer",
				"other asks web:7000/tcp":      "no answer",
				"other asks web:7000/udp":      "no answer",
				"other pings web":              "no answer",
				"web asks host:8080/tcp":       "web sees gateway of quiet",
			},
			ebnet: []difference{
				{realClient, views{
					"other asks host:8080/tcp": "web sees other",
				}},
				{udpAnswers, views{
					"other asks host:8080/udp": "web sees other",
				}},
			},
		},
		{
			name: "masquerade off",
			play: func(s *stage) {
				s.network("routed", "-o com.docker.network.bridge.enable_ip_masquerade=false --subnet 10.9.0.0/24")
				s.run("web", "--network routed -p 8080:7000")
				s.run("old", "")
				s.ask("web", "client:7000/tcp", "client:7000/udp", "host:8080/tcp")
				s.ask("client", "host:8080/tcp", "web:7000/tcp")
				s.ask("old", "client:7000/tcp")
			},
			want: views{
				"client asks host:8080/tcp": "web sees client",
				"client asks web:7000/tcp":  "web sees client",
				"old asks client:7000/tcp":  "client sees host",
				"web asks client:7000/tcp":  "client sees web",
				"web asks client:7000/udp":  "client sees web",
				"web asks host:8080/tcp":    "web sees gateway of routed",
			},
			ebnet: []difference{
				{portsOnly, views{
					"client asks web:7000/tcp": "no answer",
				}},
			},
		},
		{
			name: "internal",
			play: func(s *stage) {
				s.network("inner", "--internal --subnet 10.9.0.0/24")
				s.run("web", "--network inner -p 8080:7000")
				s.run("other", "--network inner")
				s.ask("other", "web:7000/tcp", "web:7000/udp", "client:7000/tcp", "client:7000/udp", "host:8080/tcp")
				s.ask("client", "host:8080/tcp", "web:7000/tcp")
				s.ask("host", "localhost:8080/tcp", "web:7000/tcp")
				s.askByName("other", "tcp", "web:7000")
			},
			want: views{
				"client asks host:8080/tcp":       "refused",
				"client asks web:7000/tcp":        "no answer",
				"host asks localhost:8080/tcp":    "refused",
				"host asks web:7000/tcp":          "web sees gateway of inner",
				"other asks by name web:7000/tcp": "web sees other",
				"other asks client:7000/tcp":      "no answer",
				"other asks client:7000/udp":      "no answer",
				"other asks host:8080/tcp":        "refused",
				"other asks web:7000/tcp":         "web sees other",
				"other asks web:7000/udp":         "web sees other",
			},
			want26: views{
				"other asks client:7000/tcp": "unreachable",
				"other asks client:7000/udp": "unreachable",
				"other asks host:8080/tcp":   "unreachable",
			},
			ebnet: []difference{
				{innerOnly, views{"other asks host:8080/tcp": "no answer"}},
			},
		},
		{
			name: "host binding",
			play: func(s *stage) {
				s.network("local", "-o com.docker.network.bridge.host_binding_ipv4=127.0.0.1")
				s.run("web", "--network local -p 8080:7000 -p "+otherIP+":8081:7000")
				s.ask("client", "host:8080/tcp", "otherhost:8081/tcp")
				s.ask("host", "localhost:8080/tcp", "host:8080/tcp", "otherhost:8081/tcp")
			},
			want: views{
				"client asks host:8080/tcp":      "refused",
				"client asks otherhost:8081/tcp": "web sees client",
				"host asks host:8080/tcp":        "refused",
				"host asks localhost:8080/tcp":   "web sees gateway of local",
				"host asks otherhost:8081/tcp":   "web sees host",
			},
			ebnet: []difference{
				{shortWay, views{
					"host asks otherhost:8081/tcp": "web sees gateway of local",
				}},
			},
		},
		{
			name: "mtu",
			play: func(s *stage) {
				s.network("narrow", "-o com.docker.network.driver.mtu=1300")
				s.run("web", "--network narrow -p 8080:80 -p 8081:7000")
				s.docker.Run("exec", "--detach", "web", "traffic", "serve", ":80")
				s.client.WaitGet("http://" + hostIP + ":8080/")
				s.see("page", s.download("http://"+hostIP+":8080", 10<<20))
				s.exec("web", "cat", "/sys/class/net/eth0/mtu")
				s.ask("client", "host:8081/tcp")
			},
			want: views{
				"client asks host:8081/tcp":            "web sees client",
				"page":                                 "10485760 bytes",
				"web runs cat /sys/class/net/eth0/mtu": "1300",
			},
		},
		{
			name: "chosen addresses and names",
			play: func(s *stage) {
				s.network("front", "--subnet 10.9.0.0/24 --ip-range 10.9.0.128/25 --gateway 10.9.0.77")
				s.run("web", "--network front --ip 10.9.0.5 --mac-address 02:42:00:00:00:05 -p 8080:7000")
				s.run("other", "--network front --add-host friend:10.9.0.5")
				s.see("address of web", s.docker.Container("web").Addr.String())
				s.exec("web", "cat", "/sys/class/net/eth0/address")
				s.ask("client", "host:8080/tcp")
				s.askByName("other", "tcp", "friend:7000")
				s.ask("other", "host:8080/tcp", "client:7000/tcp")
			},
			want: views{
				"address of web":                           "10.9.0.5",
				"client asks host:8080/tcp":                "web sees client",
				"other asks by name friend:7000/tcp":       "web sees other",
				"other asks client:7000/tcp":               "client sees host",
				"other asks host:8080/tcp":                 "web sees gateway of front",
				"web runs cat /sys/class/net/eth0/address": "02:42:00:00:00:05",
			},
			ebnet: []difference{
				{realClient, views{
					"other asks host:8080/tcp": "web sees other",
				}},
			},
		},
		{
			name: "bridge with a name of its own",
			play: func(s *stage) {
				s.network("named", "-o com.docker.network.bridge.name=mybridge0")
				s.run("web", "--network named -p 8080:7000")
				s.ask("client", "host:8080/tcp")
				s.ask("host", "localhost:8080/tcp")
				s.ask("web", "client:7000/tcp", "host:8080/tcp")
			},
			want: views{
				"client asks host:8080/tcp":    "web sees client",
				"host asks localhost:8080/tcp": "web sees gateway of named",
				"web asks client:7000/tcp":     "client sees host",
				"web asks host:8080/tcp":       "web sees gateway of named",
			},
		},
	}
}
