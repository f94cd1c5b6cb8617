package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// readmeBlocks are the fenced blocks of a section of README.md, each as its lines.
func readmeBlocks(t *testing.T, section string) [][]string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(readme), "\n## "+section+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks [][]string
	for i, part := range strings.Split(text, "\n```") {
		if i%2 == 1 {
			blocks = append(blocks, strings.Split(strings.TrimSpace(part), "\n"))
		}
	}
	return blocks
}

// ownBridge is a bridge of Docker's with a name of the user's.
const ownBridge = "front0"

// reader is somebody who types what README.md says, on a host with Docker.
type reader struct {
	*site
	t      *testing.T
	docker *lab.Docker
	legacy bool // iptables is the older one
	live   bool // containers outlive dockerd
}

// types runs a line of README.md. This is all that is different in the lab: no sudo, no
// systemd, another place of Docker's file and socket, and another image than nginx. The
// agent and what purges it are the lab's, so that it sees what is left behind.
func (r *reader) types(line string) string {
	r.t.Helper()
	line = r.here(line)
	var shell []string // commands for it, in a row
	said := ""
	run := func() {
		if len(shell) > 0 {
			said += r.host.Run(r.shell(strings.Join(shell, " && "))...)
			shell = nil
		}
	}
	for command := range strings.SplitSeq(line, " && ") {
		switch command {
		case "ebnet agent --docker=" + r.docker.Socket() + " &":
			r.agent = r.host.Agent("--docker=" + r.docker.Socket())
		case "systemctl restart docker":
			run()
			r.docker.Restart()
			r.comeBack()
		case "ebnet purge":
			run()
			r.agent.Purge()
		default:
			shell = append(shell, command)
		}
	}
	run()
	if strings.HasPrefix(line, "docker run ") {
		r.docker.Container("web").WaitGet("http://127.0.0.1/")
	}
	return said
}

// here is what somebody types here for a line of README.md.
func (r *reader) here(line string) string {
	line, _, _ = strings.Cut(line, "   #")
	return strings.NewReplacer(
		"sudo ", "",
		"/etc/docker", filepath.Dir(r.docker.ConfigFile()),
		"--docker", "--docker="+r.docker.Socket(),
		" nginx", " "+lab.DockerImage+" traffic serve :80",
	).Replace(strings.TrimSpace(line))
}

// shell is the line that runs a command with the programs and sockets of the lab.
func (r *reader) shell(command string) []string {
	path := []string{r.bin(), filepath.Dir(r.docker.Command()[0]), os.Getenv(lab.BinEnv), "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	line := []string{"env", "PATH=" + strings.Join(path, ":"), "DOCKER_HOST=unix://" + r.docker.Socket()}
	if r.agent != nil {
		line = append(line, "EBNET_SOCKET="+r.agent.Socket())
	}
	return append(line, "sh", "-ec", command)
}

// bin has the iptables that dockerd uses.
func (r *reader) bin() string { return filepath.Join(filepath.Dir(r.docker.ConfigFile()), "bin") }

// listens waits until a container's server does. It asks by the container's loopback,
// which no datapath has a part in.
func (r *reader) listens(name string) {
	r.t.Helper()
	lab.Eventually(r.t, wait, func() error {
		_, err := r.docker.Container(name).AskSoon("tcp", "127.0.0.1:7000")
		return err
	})
}

// comeBack waits until containers that ended with dockerd can be reached again, which
// the agent has to hear of from a dockerd that answers. Those that live on never cannot.
func (r *reader) comeBack() {
	r.t.Helper()
	if r.live {
		return
	}
	for name, port := range map[string]string{"shop": "8001", "db": "8002"} {
		r.listens(name)
		lab.Eventually(r.t, wait, func() error {
			_, err := r.client.AskSoon("tcp", hostIP+":"+port)
			return err
		})
	}
}

// reachable asks published ports from outside, the host and a container, and has
// containers ask somebody outside, who is to see the host.
func (r *reader) reachable(when string, ports ...string) {
	r.t.Helper()
	for _, port := range ports {
		for _, ask := range []struct {
			from *lab.Machine
			at   string
		}{
			{r.client, hostIP}, {r.host, hostIP}, {r.host, "127.0.0.1"}, {r.docker.Container("db").Machine, hostIP},
		} {
			for _, network := range []string{"tcp", "udp"} {
				if network == "udp" && ask.from.Name == "db" {
					continue // plain Docker's proxy answers from another address
				}
				if reply, err := ask.from.Ask(network, ask.at+":"+port); err != nil {
					r.t.Errorf("%s: %s asks %s:%s/%s: %v", when, ask.from.Name, ask.at, port, network, err)
				} else if ask.from == r.client && reply.Client.Addr().String() != clientIP {
					r.t.Errorf("%s: the client asks %s/%s and is seen as %s", when, port, network, reply.Client)
				}
			}
		}
	}
	for _, name := range []string{"db", "shop"} { // shop is on the default network
		if reply, err := r.docker.Container(name).Ask("tcp", clientIP+":7000"); err != nil || reply.Client.Addr().String() != hostIP {
			r.t.Errorf("%s: %s asks the client: %+v, %v", when, name, reply, err)
		}
	}
}

// users are the rules about DOCKER-USER that stay, where there is one of the user's.
func (r *reader) users() []string {
	if !r.live {
		return nil
	}
	var rules []string
	for _, rule := range []string{
		":DOCKER-USER - [0:0]", "-A FORWARD -j DOCKER-USER",
		"-A DOCKER-USER -s 192.0.2.66/32 -j DROP", "-A DOCKER-USER -j RETURN",
	} {
		rules = append(rules, "iptables-"+r.flavour()+"-save *filter "+rule)
	}
	return rules
}

// published is how many connections ebnet has led to published ports.
func (r *reader) published() float64 {
	return r.agent.Scrape().Sum("ebnet_flows_created_total", `kind="publish"`)
}

// adopted waits until all of Docker's networks are in one state.
func (r *reader) adopted(state string) {
	r.t.Helper()
	lab.Eventually(r.t, 2*dockerWait, func() error { // nothing tells the agent of rules
		engines := r.agent.Status().Engines
		if len(engines) != 1 || !engines[0].Connected || len(engines[0].Networks) != 3 {
			return fmt.Errorf("engines: %+v", engines)
		}
		for _, n := range engines[0].Networks {
			if n.State != state {
				return fmt.Errorf("network %s is %s", n.Name, n.State)
			}
		}
		return nil
	})
}

// flavour is that of the host's iptables.
func (r *reader) flavour() string {
	if r.legacy {
		return "legacy"
	}
	return "nft"
}

// others makes rules that are not Docker's, though some are about it.
func (r *reader) others() {
	for _, rule := range []string{
		"iptables -N mine",
		"iptables -A FORWARD -j mine",
		"iptables -A FORWARD -i wg0 -o wg0 -j ACCEPT",
		"iptables -A FORWARD -i docker0 -o wg0 -j ACCEPT",
		"iptables -A FORWARD -o docker0 -p tcp -m tcp --dport 9 -m comment --comment mine -j mine",
		"iptables -A FORWARD -o docker0 -m string --string forbidden --algo bm -j DROP",
		"iptables -t mangle -A FORWARD -o docker0 -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
		"iptables -t raw -A PREROUTING -i docker0 -p udp -m udp --dport 99 -j NOTRACK",
		"iptables -A mine -i docker0 -d 10.1.0.0/16 -j DROP",
		"iptables -A INPUT -i docker0 -p tcp -m tcp --dport 22 -j ACCEPT",
		"iptables -t nat -A POSTROUTING -s 10.1.0.0/16 -o wg0 -j MASQUERADE",
		"iptables -t nat -A PREROUTING -i wg0 -p tcp -m tcp --dport 8443 -j REDIRECT --to-ports 443",
		"ip6tables -A FORWARD -i wg0 -o wg0 -j ACCEPT",
		"ip6tables -t nat -A POSTROUTING -o wg0 -j MASQUERADE",
	} {
		family, rest, _ := strings.Cut(rule, " ")
		r.host.Run(append([]string{family + "-" + r.flavour()}, strings.Fields(rest)...)...)
	}
	r.host.Run("nft", "add table inet mine; add chain inet mine in { type filter hook input priority 5; }; add rule inet mine in iifname docker0 accept")
}

// rules are all rules and chains in the host's namespace, of both of iptables' kernel
// interfaces.
func (r *reader) rules() []string {
	var rules []string
	for _, save := range []string{"iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ip6tables-legacy-save"} {
		table := ""
		for line := range strings.Lines(r.host.Run(save)) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "*"):
				table = line
			case strings.HasPrefix(line, "-A "), strings.HasSuffix(line, " - [0:0]"):
				rules = append(rules, save+" "+table+" "+line)
			}
		}
	}
	return append(rules, r.host.Run("nft", "list", "table", "inet", "mine"))
}
