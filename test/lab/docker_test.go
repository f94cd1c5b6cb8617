package lab

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// engine starts Docker on a machine of its own. Its image has no traffic that works.
func engine(t *testing.T, version DockerVersion, options DockerOptions) *Docker {
	t.Helper()
	l := machines(t)
	for _, name := range []string{"ebnet", "traffic"} {
		if err := os.WriteFile(filepath.Join(l.bin, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return l.Machine("host").Docker(version, options)
}

// own is what an engine could change of the test machine's own network.
func own(l *Lab) string {
	var b strings.Builder
	for _, command := range []string{
		"ip -o link", "ip -o addr", "ip rule", "ip route show table all",
		"nft list ruleset", "iptables-legacy-save",
	} {
		b.WriteString(command + "\n")
		for line := range strings.Lines(l.try("", strings.Fields(command)...).Out) {
			if !strings.HasPrefix(line, "#") { // has the time
				b.WriteString(line)
			}
		}
	}
	for _, name := range []string{
		"net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv4.conf.all.route_localnet",
		"net.ipv6.conf.all.forwarding", "net.bridge.bridge-nf-call-iptables",
	} {
		value, _ := os.ReadFile(sysctlPath(name))
		b.WriteString(name + " " + string(value))
	}
	return b.String()
}

// An engine that was killed, with containers of all sorts, leaves nothing behind, and
// the test machine's own network never changed.
func TestDockerLeavesNothing(t *testing.T) {
	EachDocker(t, func(t *testing.T, version DockerVersion) {
		before := own(machines(t))
		d := engine(t, version, DockerOptions{Iptables: true, Proxy: true, LiveRestore: true})
		d.Run("network", "create", "front")
		d.Run("run", "--detach", "--publish", "8080:80", DockerImage)
		d.Run("run", "--detach", "--network", "front", "--publish", "8081:80", "--name", "paused", DockerImage)
		d.Run("pause", "paused")
		d.Run("run", "--detach", "--network", "host", DockerImage)
		c := d.Container("paused")

		there := strings.Join(d.left(), "\n")
		for _, kind := range []string{"(dockerd) of Docker", "(containerd-shim) of Docker", "(sh) of Docker", "mount " + d.dir, "cgroup /"} {
			if !strings.Contains(there, kind) {
				t.Errorf("%q is not among what is there:\n%s", kind, there)
			}
		}
		if after := own(d.lab); after != before {
			t.Errorf("the machine's own network has changed from\n%sto\n%s", before, after)
		}
		shims := shimSockets(d.Machine.Path)
		if len(shims) == 0 {
			t.Error("the shims have no sockets")
		}

		d.Kill()
		if problems := d.end(); len(problems) > 0 {
			t.Errorf("left behind:\n%s", strings.Join(problems, "\n"))
		}
		if startOf(c.PID) != "" {
			t.Error("a container's process still runs")
		}
		for _, path := range shims {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s is still there", path)
			}
		}
	})
}

// Docker's rules are in the tables that the test has asked for, or nowhere.
func TestDockerIptables(t *testing.T) {
	for _, row := range []struct {
		name        string
		options     DockerOptions
		nft, legacy bool
	}{
		{"none", DockerOptions{}, false, false},
		{"nft", DockerOptions{Iptables: true}, true, false},
		{"legacy", DockerOptions{Iptables: true, Legacy: true}, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := engine(t, Docker20, row.options)
			d.Run("run", "--detach", "--publish", "8080:80", DockerImage)
			if rules := d.Machine.Run("nft", "list", "ruleset"); strings.Contains(rules, "chain DOCKER {") != row.nft {
				t.Errorf("nftables:\n%s", rules)
			}
			if rules := d.Machine.Run("iptables-legacy-save"); strings.Contains(rules, ":DOCKER ") != row.legacy {
				t.Errorf("legacy iptables:\n%s", rules)
			}
		})
	}
}

// What the engine of a killed test process has left is removed by the next one.
func TestStaleDockerIsRemoved(t *testing.T) {
	const child = "EBNET_TEST_STALE_DOCKER"
	if os.Getenv(child) != "" {
		d := engine(t, Docker26, DockerOptions{})
		id := d.Run("run", "--detach", DockerImage)
		os.Stdout.WriteString("\nstale " + d.dir + " " + d.cgroup() + " " + id + " " + strings.Join(shimSockets(d.Machine.Path), ",") + "\n")
		bufio.NewReader(os.Stdin).ReadString('\n')
		return
	}
	machines(t) // skips without root
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), child+"=1")
	cmd.WaitDelay = 5 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var words []string
	for lines := bufio.NewScanner(stdout); len(words) != 5 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "stale ") {
			words = strings.Fields(lines.Text())
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	if words == nil {
		t.Fatal("the other test has not started an engine")
	}
	d := &Docker{dir: words[1]}
	dir, cgroup, id, shims := words[1], words[2], words[3], strings.Split(words[4], ",")
	if !isDir(dir) || len(processesInCgroup(cgroup)) == 0 || len(mountsBelow(dir)) == 0 {
		t.Fatalf("nothing of container %s is stale in %s", id, dir)
	}
	removeStale()
	// The tests of another package may be about it, too.
	Eventually(t, patience, func() error {
		left := slices.Concat(cgroupFolders(cgroup), mountsBelow(dir))
		for _, path := range shims {
			if _, err := os.Stat(path); err == nil {
				left = append(left, path)
			}
		}
		if len(left)+len(d.daemons()) == 0 && !isDir(dir) {
			return nil
		}
		return errLeft(strings.Join(left, "\n"))
	})
}

type errLeft string

func (e errLeft) Error() string { return "left: " + string(e) }
