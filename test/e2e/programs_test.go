package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/lab"
)

const postgresBin = "/usr/lib/postgresql/15/bin/"

// program is a server that people run in containers, on port 7000 of all addresses, and a
// client of it with what that says when it works.
type program struct {
	name   string
	server func(t *testing.T, l *lab.Lab, dir string) []string
	client func(dir, addr string) []string
	says   string
}

func command(args ...string) func(*testing.T, *lab.Lab, string) []string {
	return func(*testing.T, *lab.Lab, string) []string { return args }
}

func shell(format string) func(dir, addr string) []string {
	return func(dir, addr string) []string {
		host := addr
		if strings.Contains(addr, ":") {
			host = "[" + addr + "]"
		}
		return []string{"sh", "-c", strings.NewReplacer("ADDR", addr, "HOST", host, "DIR", dir).Replace(format)}
	}
}

var programs = []program{
	{"curl", webServer, shell("curl -sS --max-time 10 http://HOST:7000/"), "hello from"},
	{"wget", webServer, shell("wget -q -T 10 -O - http://HOST:7000/"), "hello from"},
	{"wrk", webServer, shell("wrk -t1 -c8 -d1 http://HOST:7000/"), "requests in"},
	{"iperf3", command("iperf3", "-s", "--forceflush", "-p", "7000"), shell("iperf3 -c ADDR -p 7000 -t 1 -C cubic"), "receiver"},
	{"iperf3 UDP", command("iperf3", "-s", "--forceflush", "-p", "7000"), shell("iperf3 -c ADDR -p 7000 -t 1 -u -b 50M -l 4000"), "receiver"},
	{"openssl", tlsServer, shell("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | timeout 10 openssl s_client -quiet -connect HOST:7000 2>&1"), "Ciphers supported in s_server"},
	{
		"redis", command("redis-server", "--port", "7000", "--bind", "*", "-::*", "--protected-mode", "no", "--save", ""),
		shell("redis-cli -h ADDR -p 7000 eval \"return string.rep('answer', 20000)\" 0"), "answeranswer",
	},
	{"ssh", sshServer, shell("ssh -i DIR/key -p 7000 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@ADDR echo over ssh"), "over ssh"},
	{"postgres", postgresServer, shell(postgresBin + "psql -h ADDR -p 7000 -U postgres -tc 'select sum(n) from generate_series(1, 1000) n'"), "500500"},
	{"dig", dnsServer, shell("dig @ADDR -p 7000 +time=3 +tries=1 +bufsize=4096 +notcp +ignore big.test TXT"), strings.Repeat("x", 200)},
}

func webServer(_ *testing.T, l *lab.Lab, dir string) []string {
	command, _ := l.Nginx(filepath.Base(dir), 7000)
	conf := command[len(command)-1]
	text, _ := os.ReadFile(conf)
	os.WriteFile(conf, []byte(strings.Replace(string(text), "listen 7000", "listen [::]:7000 ipv6only=off", 1)), 0o644)
	return command
}

func must(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func tlsServer(t *testing.T, _ *lab.Lab, dir string) []string {
	must(t, dir, "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", "tls.key", "-out", "tls.pem")
	return []string{"openssl", "s_server", "-quiet", "-www", "-accept", "7000", "-key", dir + "/tls.key", "-cert", dir + "/tls.pem"}
}

func sshServer(t *testing.T, _ *lab.Lab, dir string) []string {
	for _, key := range []string{"key", "hostkey"} {
		must(t, dir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd wants it, whatever its configuration
		t.Fatal(err)
	}
	return []string{
		"/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", "7000", "-h", dir + "/hostkey", "-o", "AuthorizedKeysFile=" + dir + "/key.pub",
		"-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none",
	}
}

func postgresServer(t *testing.T, _ *lab.Lab, dir string) []string {
	must(t, dir, "chown", "postgres", dir)
	must(t, dir, "runuser", "-u", "postgres", "--", postgresBin+"initdb", "-D", dir+"/data", "-A", "trust", "--no-sync")
	access := "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n"
	if err := os.WriteFile(dir+"/data/pg_hba.conf", []byte(access), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"runuser", "-u", "postgres", "--", postgresBin + "postgres", "-D", dir + "/data", "-p", "7000", "-h", "*", "-k", dir}
}

func dnsServer(*testing.T, *lab.Lab, string) []string {
	long := strings.Repeat("x", 250)
	return []string{
		"dnsmasq", "-k", "-p", "7000", "-C", "/dev/null", "-u", "root", "--no-resolv", "--no-hosts", "--pid-file=", "--edns-packet-max=4096",
		"--txt-record=big.test" + strings.Repeat(","+long, 12),
	}
}

// serve starts the server on a machine and waits until it answers there. The folder is
// what its clients need.
func (p program) serve(t *testing.T, l *lab.Lab, m *lab.Machine, f ipFamily) (server *lab.Proc, dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ebnet-program-") // a postgres of its own user has to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	server = m.Start(p.server(t, l, dir)...)
	lab.Eventually(t, 30*time.Second, func() error { return p.works(m, dir, f.loopback) })
	return server, dir
}

// ask is works when the server is free for another client.
func (p program) ask(t *testing.T, server *lab.Proc, from *lab.Machine, dir, addr string) error {
	t.Helper()
	if strings.HasPrefix(p.name, "iperf3") {
		iperfListens(t, server)
	}
	return p.works(from, dir, addr)
}

func (p program) works(from *lab.Machine, dir, addr string) error {
	out := from.Try(p.client(dir, addr)...)
	if strings.Contains(out.Out+out.Err, p.says) {
		return nil
	}
	return fmt.Errorf("%s: status %d\n%s%s", p.name, out.Code, out.Out, out.Err)
}

// What people run in containers works by every way and over both families.
func TestRealPrograms(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) {
		w := newFamilyWorld(t, f)
		server := w.create(f, "server", "-p", "7000:7000", "-p", "7000:7000/udp")
		neighbour := w.create(f, "neighbour")
		for _, p := range programs {
			inside, dir := p.serve(t, w.Lab, server.Machine, f)
			for _, way := range []struct {
				name string
				from *lab.Machine
				addr string
			}{
				{"published", w.client, f.host},
				{"neighbour", neighbour.Machine, f.of(server).String()},
				{"hairpin", neighbour.Machine, f.host},
				{"localhost", w.host, f.loopback},
			} {
				if err := p.ask(t, inside, way.from, dir, way.addr); err != nil {
					t.Errorf("%s: %v", way.name, err)
				}
			}
			inside.Kill()
			outside, dir := p.serve(t, w.Lab, w.client, f)
			if err := p.ask(t, outside, neighbour.Machine, dir, f.client); err != nil {
				t.Errorf("masqueraded: %v", err)
			}
			outside.Kill()
		}
	})
}
