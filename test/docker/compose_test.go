package docker

import (
	"strings"

	"github.com/ebnet/ebnet/test/lab"
)

// composeScenarios are about `docker compose`, and docker-compose with Docker 20.10.
func composeScenarios() []scenario {
	return []scenario{
		{
			name: "compose",
			play: func(s *stage) {
				file := s.File("compose.yaml", composeFile)
				s.docker.Compose(file, "--project-name", "shop", "up", "--detach")
				s.meet("shop_front")
				s.meet("shop_back")
				s.enter("web", ":7000")
				s.enter("db", ":7000")
				s.ask("client", "host:8080/tcp", "host:8080/udp", "host:8081/tcp")
				s.ask("host", "localhost:8080/tcp", "localhost:8081/tcp")
				s.ask("web", "client:7000/tcp", "host:8080/tcp")
				s.ask("db", "client:7000/tcp")
				s.askByName("web", "tcp", "db:7000")
				s.askByName("web", "udp", "db:7000")
				s.settle()
				s.docker.Compose(file, "--project-name", "shop", "restart", "--timeout", "0", "web")
				s.enter("web", ":7000")
				s.askAs("client asks after restart", "client", "tcp", hostIP+":8080")
				s.docker.Compose(file, "--project-name", "shop", "down", "--timeout", "0")
				s.askAs("client asks after down", "client", "tcp", hostIP+":8080")
				s.see("networks after down", strings.Join(strings.Fields(s.docker.Run("network", "ls", "--filter", "driver=bridge", "--format", "{{.Name}}")), " "))
			},
			want: views{
				"client asks after down":       "refused",
				"client asks after restart":    "web sees client",
				"client asks host:8080/tcp":    "web sees client",
				"client asks host:8080/udp":    "web sees client",
				"client asks host:8081/tcp":    "refused",
				"db asks client:7000/tcp":      "no answer",
				"host asks localhost:8080/tcp": "web sees gateway of shop_front",
				"host asks localhost:8081/tcp": "web sees gateway of shop_front",
				"networks after down":          "bridge",
				"web asks by name db:7000/tcp": "db sees web on shop_back",
				"web asks by name db:7000/udp": "db sees web on shop_back",
				"web asks client:7000/tcp":     "client sees host",
				"web asks host:8080/tcp":       "web sees gateway of shop_front",
			},
			want26: views{
				"db asks client:7000/tcp": "unreachable",
			},
		},
	}
}

const composeFile = `
version: "3.7"
services:
  web:
    image: ` + lab.DockerImage + `
    container_name: web
    command: [traffic, tell, web, ":7000"]
    ports: ["8080:7000", "8080:7000/udp", "127.0.0.1:8081:7000"]
    networks: [front, back]
    depends_on: [db]
  db:
    image: ` + lab.DockerImage + `
    container_name: db
    command: [traffic, tell, db, ":7000"]
    networks: [back]
networks:
  front:
  back:
    internal: true
`
