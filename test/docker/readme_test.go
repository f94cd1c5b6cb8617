package docker

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// What the section says is so, for a machine whose containers run: no rule of Docker's
// is left, nothing else is lost, nobody notices, and there is a way back.
func TestDockerReadme(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		for _, row := range []struct {
			name         string
			legacy, live bool
		}{{"nftables, live-restore", false, true}, {"legacy", true, false}} {
			t.Run(row.name, func(t *testing.T) {
				r := &reader{site: newSite(t), t: t, legacy: row.legacy, live: row.live}
				r.reads(version)
			})
		}
	})
}

func (r *reader) reads(version lab.DockerVersion) {
	t := r.t
	blocks := readmeBlocks(t, "Docker without iptables")
	if len(blocks) != 4 || len(blocks[0]) != 1 || len(blocks[1]) != 5 || len(blocks[2]) != 1 {
		t.Fatalf("want one line before, five there, one back and some to look around: %q", blocks)
	}
	before, there, back, around := blocks[0][0], blocks[1], blocks[2][0], blocks[3]

	r.client.AnswerTCP("client", ":7000")
	r.others()
	others := r.rules()
	r.docker = r.host.Docker(version, lab.DockerOptions{
		Iptables: true, Legacy: r.legacy, Proxy: true, LiveRestore: r.live,
		Config: map[string]any{"experimental": true, "ip6tables": true},
	})
	r.docker.Run("network", "create", "--opt", "com.docker.network.bridge.name="+ownBridge, "front")
	r.docker.Run("network", "create", "back")
	r.runs("shop", "bridge", "8001:7000")
	r.runs("db", "front", "8002:7000")
	if len(r.users()) > 0 {
		r.host.Run(r.shell("iptables -I DOCKER-USER -s 192.0.2.66 -j DROP")...)
	}
	plain := r.rules()
	old := r.client.Talk("tcp", "", hostIP+":8001")
	out := r.docker.Container("shop").Talk("tcp", "", clientIP+":7000")
	r.client.MustAsk(old)
	r.client.MustAsk(out)

	if said := r.types(before); !strings.Contains(said, "docker/shop") {
		t.Errorf("the dry run says:\n%s", said)
	}
	r.refuses(there[4], "no agent is running")
	r.types(there[0])
	r.refuses(there[4], "dockerd has on iptables")
	r.adopted("adopted, Docker's rules are there")
	r.has(plain)
	taken := r.published()
	r.client.MustAsk(old)
	r.client.MustAsk(out)
	if now := r.published(); now != taken {
		t.Errorf("ebnet has taken %v connections that Docker's rules translate", now-taken)
	}
	young := r.client.Talk("tcp", "", hostIP+":8001")
	r.client.MustAsk(young)
	if now := r.published(); now != taken+1 {
		t.Errorf("ebnet has taken %v connections, want 1", now-taken)
	}
	r.reachable("with Docker's rules", "8001", "8002")

	for i, line := range there[1:] {
		if i == 3 {
			r.removes(line) // and with the rules what they translate
			break
		}
		r.types(line)
		if i == 1 {
			r.refuses(there[4], "restart dockerd")
		}
		if r.live {
			r.client.MustAsk(young)
			r.client.MustAsk(old)
			r.client.MustAsk(out)
		}
		r.reachable("after "+line, "8001", "8002")
	}
	r.adopted("adopted")
	r.has(append(others, r.users()...))
	if policy := r.host.Run(r.shell("iptables -S FORWARD")...); !strings.HasPrefix(policy, "-P FORWARD DROP\n") {
		t.Errorf("FORWARD is\n%s", policy)
	}
	old.Dead(t)
	out.Dead(t)
	if r.live {
		r.client.MustAsk(young)
	}
	r.reachable("without rules", "8001", "8002")
	r.lookAround(around)

	r.types(back)
	for _, rule := range r.users() {
		if !slices.Contains(r.rules(), rule) {
			t.Errorf("not there again: %s", rule)
		}
	}
	// Where containers live on, Docker makes a DOCKER-USER that was not in use only then.
	r.docker.Run("network", "create", "next")
	r.docker.Run("network", "rm", "next")
	r.has(plain)
	if _, err := os.Stat(r.agent.Pins()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("pins: %v", err)
	}
	r.reachable("with Docker's rules again", "8001", "8002")
}

// The default network is translated unless its dockerd was told otherwise, which says the
// same of it in both cases.
func TestDockerMasquerade(t *testing.T) {
	lab.EachDocker(t, func(t *testing.T, version lab.DockerVersion) {
		t.Parallel()
		r := &reader{site: newSite(t), t: t}
		r.client.Route("172.16.0.0/12", netip.MustParseAddr(hostIP))
		r.client.AnswerTCP("client", ":7000")
		r.docker = r.host.Docker(version, lab.DockerOptions{Config: map[string]any{"ip-masq": false}})
		r.agent = r.host.Agent("--docker=" + r.docker.Socket())
		r.runs("shop", "bridge", "8001:7000")
		leaves := func(as string) {
			t.Helper()
			if reply, err := r.docker.Container("shop").Ask("tcp", clientIP+":7000"); err != nil || reply.Client.Addr().String() != as {
				t.Errorf("the client sees %+v, %v, want %s", reply, err, as)
			}
		}
		leaves(r.docker.Container("shop").Addr.String())
		r.docker.Configure(map[string]any{"ip-masq": true})
		r.docker.Restart()
		r.listens("shop")
		lab.Eventually(t, wait, func() error {
			_, err := r.client.AskSoon("tcp", hostIP+":8001")
			return err
		})
		leaves(hostIP)
		r.docker.Configure(map[string]any{"icc": false})
		if said := r.types("ebnet doctor || true"); !strings.Contains(said, "does not start again") || !strings.Contains(said, "first remove \"icc\": false from "+r.docker.ConfigFile()) {
			t.Errorf("doctor says\n%s", said)
		}
	})
}

// runs runs a container that tells whom it sees on a port, in TCP and UDP.
func (r *reader) runs(name, network, port string) {
	r.t.Helper()
	r.docker.Run("run", "--detach", "--restart", "always", "--name", name, "--network", network,
		"--publish", port, "--publish", port+"/udp", lab.DockerImage, "traffic", "tell", name, ":7000")
	r.listens(name)
}

// has wants these rules in the host's namespace and no others. Docker makes its own in
// no order.
func (r *reader) has(want []string) {
	r.t.Helper()
	got := r.rules()
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		r.t.Errorf("rules are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// lookAround types what the section shows of a container "web".
func (r *reader) lookAround(lines []string) {
	r.t.Helper()
	said := map[string]string{}
	for _, line := range lines {
		command, _, _ := strings.Cut(line, "   #")
		said[strings.TrimSpace(command)] = r.types(line)
		if strings.HasPrefix(line, "curl ") {
			if page, err := r.client.Get("http://" + hostIP + ":8080/"); err != nil || !strings.HasPrefix(page, "hello "+clientIP+":") {
				r.t.Errorf("the client gets %q, %v", page, err)
			}
		}
	}
	for command, want := range map[string]string{
		"curl http://localhost:8080/":                "hello ",
		"sudo ebnet port docker/web":                 "8080",
		"sudo ebnet publish 9000:80 --to web":        "",
		"sudo ebnet allow 8080 --set 203.0.113.0/24": "203.0.113.0/24",
		"sudo ebnet network inspect docker/bridge":   `"bridge": "docker0"`,
		"sudo ebnet flows":                           "docker/",
		"sudo ebnet status":                          "docker/back, docker/bridge, docker/front: adopted\n",
		"sudo ebnet doctor":                          "Docker's rules   ok        none",
	} {
		if got, ok := said[command]; !ok || !strings.Contains(got, want) {
			r.t.Errorf("%s: typed: %t, said\n%s\nwant %q", command, ok, got, want)
		}
	}
	if page, err := r.client.Get("http://" + hostIP + ":9000/"); err != nil || !strings.HasPrefix(page, "hello "+clientIP+":") {
		r.t.Errorf("the client gets %q, %v of port 9000", page, err)
	}
	r.client.Unreachable("tcp", hostIP+":8080") // it is not on the list
	r.docker.Run("rm", "-f", "web")
}

// Settings that Docker has stay, and the old ones with them for the way back, also when
// the lines are typed twice. A file that cannot be read is left alone.
func TestDockerReadmeSettings(t *testing.T) {
	blocks := readmeBlocks(t, "Docker without iptables")
	there := blocks[1][1:3]
	back, _, _ := strings.Cut(blocks[2][0], " && ")
	for _, row := range []struct{ have, want, old string }{
		{"", `{"ip6tables":false,"iptables":false,"userland-proxy":false}`, "{}\n"},
		{"{}", `{"ip6tables":false,"iptables":false,"userland-proxy":false}`, "{}"},
		{`{"iptables": true, "mtu": 1400}`, `{"ip6tables":false,"iptables":false,"mtu":1400,"userland-proxy":false}`, `{"iptables": true, "mtu": 1400}`},
		{`{"mtu"`, "", ""},
	} {
		dir := filepath.Join(t.TempDir(), "docker")
		file := filepath.Join(dir, "daemon.json")
		mode, owner := fs.FileMode(0o644), uint32(os.Getuid())
		if row.have != "" {
			mode, owner = 0o600, 12345
			err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(file, []byte(row.have), mode), os.Chown(file, int(owner), int(owner)))
			if err != nil {
				t.Fatal(err)
			}
		}
		types := func(line string, fails bool) {
			line = strings.NewReplacer("sudo ", "", "/etc/docker", dir).Replace(line)
			out, err := exec.Command("sh", "-c", line).CombinedOutput()
			if fails != (err != nil) {
				t.Errorf("%q: %s: %v: %s", row.have, line, err, out)
			}
		}
		is := func(path, want string) {
			t.Helper()
			text, err := os.ReadFile(path)
			if row.want == want && want != "" {
				var now any
				err = errors.Join(err, json.Unmarshal(text, &now))
				text, _ = json.Marshal(now)
			}
			info, failed := os.Stat(path)
			if err = errors.Join(err, failed); err != nil || string(text) != want {
				t.Errorf("%q: %s is %s, %v, want %s", row.have, path, text, err, want)
				return
			}
			if stat := info.Sys().(*syscall.Stat_t); info.Mode() != mode || stat.Uid != owner {
				t.Errorf("%q: %s has mode %v and owner %d", row.have, path, info.Mode(), stat.Uid)
			}
		}
		for range 2 {
			types(there[0], false)
			types(there[1], row.want == "")
			if row.want == "" {
				is(file, row.have)
				continue
			}
			is(file, row.want)
			is(file+".old", row.old)
		}
		types(back, row.want == "")
		if row.want != "" {
			is(file, row.old)
		}
	}
}
