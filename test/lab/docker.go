package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// DockerVersion is one of the Docker engines that tests run.
type DockerVersion string

const (
	Docker20 DockerVersion = "20.10" // Debian 12's packages
	Docker26 DockerVersion = "26.1"  // Debian 13's, unpacked by test/deps.sh; runc is Debian 12's
)

// DockerVersions are all of them.
func DockerVersions() []DockerVersion { return []DockerVersion{Docker20, Docker26} }

// docker26 is where test/deps.sh unpacks Debian 13's packages.
const docker26 = "/var/cache/ebnet-test/docker-26.1"

// DockerOptions is how an engine is set up. The zero value is Docker as ebnet wants it:
// no iptables, no proxy.
type DockerOptions struct {
	Iptables    bool           // Docker's own rules, as in plain Docker
	Legacy      bool           // with legacy iptables; otherwise nftables'
	Proxy       bool           // userland-proxy
	LiveRestore bool           // containers outlive dockerd
	Config      map[string]any // more of daemon.json, such as "bip"
}

// Docker is a Docker engine of one machine: a containerd and a dockerd in its network
// namespace, with folders and sockets of their own, and the client that belongs to it.
// Mounts and cgroups are the test machine's: an agent on the same Machine sees the
// socket and the containers' namespaces where Docker says that they are.
//
//	d := host.Docker(lab.Docker20, lab.DockerOptions{})
//	agent := host.Agent("--docker="+d.Socket())
//	d.Run("run", "-d", "--name", "web", "-p", "8080:80", lab.DockerImage, "traffic", "serve", ":80")
//	client.Get("http://" + hostIP + ":8080/")
//	web := d.Container("web")      // a Machine: web.AnswerUDP("web", ":53"), web.Addr, ...
//	d.Restart(), d.Kill(), d.Stop(), d.Start()
//
// All of it ends with the test.
type Docker struct {
	Machine *Machine
	Version DockerVersion

	lab        *Lab
	dir        string
	options    DockerOptions
	containerd *Proc
	dockerd    *Proc
	procs      []*Proc // of dockerd, with those before it, for their logs
}

// Docker starts an engine on the machine, waits until it answers and gives it the image
// DockerImage. There can be one on each machine.
func (m *Machine) Docker(version DockerVersion, options DockerOptions) *Docker {
	m.lab.t.Helper()
	d := &Docker{
		Machine: m,
		Version: version,
		lab:     m.lab,
		dir:     filepath.Join(m.lab.dir, m.Name, "docker"),
		options: options,
	}
	if _, err := os.Stat(d.program("dockerd")); err != nil {
		d.lab.t.Fatalf("find Docker %s: %v (test/deps.sh installs it)", version, err)
	}
	for _, dir := range []string{d.dir, d.path("bin"), d.path("config", "cli-plugins")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			d.lab.t.Fatalf("make folder: %v", err)
		}
	}
	d.write(testerFile, strconv.Itoa(os.Getpid()))
	d.link()
	d.configure()
	d.lab.dockers = append(d.lab.dockers, d)
	d.containerd = d.start("containerd", "--config", d.path("containerd.toml"))
	Eventually(d.lab.t, patience, func() error { return d.listens(d.containerd, d.path("containerd.sock")) })
	d.Start()
	d.importImage()
	return d
}

// start starts one of the engine's daemons.
func (d *Docker) start(name string, args ...string) *Proc {
	d.lab.t.Helper()
	cmd := exec.Command(d.program(name), args...)
	cmd.Env = append(os.Environ(), "PATH="+strings.Join(d.folders(), ":"), "TMPDIR="+d.dir)
	return d.Machine.start(cmd)
}

// Start starts dockerd, after it was stopped or killed, and waits until it answers.
func (d *Docker) Start() {
	d.lab.t.Helper()
	d.dockerd = d.start("dockerd", "--config-file", d.path("daemon.json"))
	d.procs = append(d.procs, d.dockerd)
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", d.Socket())
		},
	}}
	Eventually(d.lab.t, patience, func() error {
		if err := d.listens(d.dockerd, d.Socket()); err != nil {
			return err
		}
		// It listens long before it answers.
		resp, err := client.Get("http://docker/info")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var info struct{ ServerVersion string }
		if err := json.NewDecoder(resp.Body).Decode(&info); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("dockerd: %s: %v", resp.Status, err)
		}
		if !strings.HasPrefix(info.ServerVersion, string(d.Version)+".") {
			d.lab.t.Fatalf("%s is Docker %s, not %s", d.program("dockerd"), info.ServerVersion, d.Version)
		}
		return nil
	})
}

// listens says what is wrong with a daemon that does not listen on its socket.
func (d *Docker) listens(p *Proc, socket string) error {
	if !p.Running() {
		d.lab.t.Fatalf("%s on %s ended:\n%s", p.cmd.Path, d.Machine.Name, p.Output())
	}
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		conn.Close()
	}
	return err
}

// Stop ends dockerd with SIGTERM. Its containers end with it unless they are to live on.
func (d *Docker) Stop() {
	d.lab.t.Helper()
	d.dockerd.Signal(syscall.SIGTERM)
	if code := d.dockerd.Wait(); code != 0 {
		d.lab.t.Fatalf("dockerd on %s ended with status %d\n%s", d.Machine.Name, code, d.Log())
	}
}

// Kill ends dockerd the hard way. Its containers go on.
func (d *Docker) Kill() {
	d.lab.t.Helper()
	d.dockerd.Signal(syscall.SIGKILL)
	d.dockerd.Wait()
}

// Restart stops dockerd and starts it again, as `systemctl restart docker` does.
func (d *Docker) Restart() {
	d.lab.t.Helper()
	d.Stop()
	d.Start()
}

// Reload has dockerd read daemon.json again, for what it can change while it runs.
func (d *Docker) Reload() {
	d.lab.t.Helper()
	d.dockerd.Signal(syscall.SIGHUP)
}

// Configure changes daemon.json as DockerOptions.Config does. It holds from dockerd's
// next start, or from Reload on.
func (d *Docker) Configure(config map[string]any) {
	d.lab.t.Helper()
	merged := maps.Clone(d.options.Config)
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, config)
	d.options.Config = merged
	d.configure()
}

// Socket is the path of the engine's API, PID dockerd's process id, ConfigFile the path
// of daemon.json and Log what dockerd has said, before restarts too.
func (d *Docker) Socket() string     { return d.path("docker.sock") }
func (d *Docker) PID() int           { return d.dockerd.PID() }
func (d *Docker) ConfigFile() string { return d.path("daemon.json") }
func (d *Docker) Log() string {
	var b strings.Builder
	for _, p := range d.procs {
		b.WriteString(p.Output())
	}
	return b.String()
}

// Run runs the engine's docker command and returns its standard output without the
// newline at its end. The test fails if the command does.
func (d *Docker) Run(args ...string) string {
	d.lab.t.Helper()
	return d.must("docker", args, d.Try(args...))
}

// Try runs the engine's docker command, whether it succeeds or not.
func (d *Docker) Try(args ...string) Result {
	d.lab.t.Helper()
	return d.Machine.Try(d.Command(args...)...)
}

// Command is the line that runs the engine's docker command, for Machine.Start.
func (d *Docker) Command(args ...string) []string {
	return append([]string{d.program("docker"), "--config", d.path("config"), "--host", "unix://" + d.Socket()}, args...)
}

// Compose runs `docker compose`, or the `docker-compose` of Docker 20.10's days, on a
// compose file. The test fails if it does.
func (d *Docker) Compose(file string, args ...string) string {
	d.lab.t.Helper()
	command := d.Command("compose")
	if d.Version == Docker20 {
		command = []string{"/usr/bin/docker-compose", "--host", "unix://" + d.Socket()}
	}
	args = append([]string{"--file", file}, args...)
	return d.must("compose", args, d.Machine.Try(slices.Concat(command, args)...))
}

func (d *Docker) must(command string, args []string, res Result) string {
	d.lab.t.Helper()
	if res.Code != 0 {
		d.lab.t.Fatalf("on %s: %s %s: exit status %d\n%s%s",
			d.Machine.Name, command, strings.Join(args, " "), res.Code, res.Out, res.Err)
	}
	return strings.TrimSuffix(res.Out, "\n")
}

// EachDocker runs a test on every version of Docker.
func EachDocker(t *testing.T, test func(t *testing.T, version DockerVersion)) {
	for _, version := range DockerVersions() {
		t.Run("docker-"+string(version), func(t *testing.T) { test(t, version) })
	}
}
