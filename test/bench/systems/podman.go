package systems

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/test/lab"
)

// netavarkDirs are where distributions put netavark: not in PATH.
var netavarkDirs = []string{"/usr/lib/podman", "/usr/libexec/podman", "/usr/local/lib/podman", "/usr/local/libexec/podman"}

// Podman is podman with netavark on its default bridge, with folders of its own.
type Podman struct {
	netfilter
	dir     string // of netavark
	version string
	addrs   []netip.Addr
	command []string // podman, with what keeps it apart from others
}

func (*Podman) Name() string { return PodmanName }

func (s *Podman) About() string {
	return strings.TrimSpace("podman's bridge with netavark " + s.version)
}

func (s *Podman) Available() error {
	if err := Needs("podman", "runc", "iptables"); err != nil {
		return err
	}
	for _, dir := range netavarkDirs {
		if _, err := os.Stat(filepath.Join(dir, "netavark")); err == nil {
			s.dir = dir
			return nil
		}
	}
	return fmt.Errorf("no netavark in %s (Debian: apt-get install netavark)", strings.Join(netavarkDirs, ", "))
}

func (s *Podman) SetUp(l *lab.Lab, t Cleaner) {
	s.netfilter = netfilter{newSite(l)}
	s.prepare(l)
	t.Cleanup(func() { s.end(t) })
	rootfs := s.rootfs(l, t)
	s.version = fmt.Sprintf("(%s, %s, %s)", versionOf("podman", "--version"),
		versionOf(filepath.Join(s.dir, "netavark"), "--version"), versionOf("iptables", "--version"))
	for i, name := range []string{"web", "one", "two"} {
		words := []string{"run", "--detach", "--name", name, "--cgroup-parent", "/" + s.cgroup()}
		words = append(words, limits...)
		if i == 0 {
			words = append(words, publishFlags()...)
		}
		s.podman(append(words, "--rootfs", rootfs, "/traffic", "answer", "127.0.0.1:9")...)
		m, addr := s.container(t, name)
		s.containers, s.addrs = append(s.containers, m), append(s.addrs, addr)
	}
}

// prepare makes the command that leaves the machine's own podman alone.
func (s *Podman) prepare(l *lab.Lab) {
	config := l.File("containers.conf", "[network]\nnetwork_backend = \"netavark\"\n[engine]\nlock_type = \"file\"\n")
	folder := func(name string) string { return filepath.Join(l.Dir(), "podman", name) }
	s.command = []string{
		"env", "CONTAINERS_CONF=" + config, "podman",
		"--root", folder("root"), "--runroot", folder("run"), "--tmpdir", folder("tmp"),
		"--network-config-dir", folder("networks"), "--storage-driver", "vfs",
		"--runtime", "runc", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
	}
}

func (s *Podman) podman(words ...string) string {
	return s.host.Run(append(slices.Clone(s.command), words...)...)
}

// rootfs is a container's whole file system: one program that waits.
func (s *Podman) rootfs(l *lab.Lab, t Cleaner) string {
	dir := filepath.Join(l.Dir(), "podman", "rootfs")
	for _, name := range []string{"dev", "etc", "proc", "run", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatalf("make folder: %v", err)
		}
	}
	traffic, err := os.ReadFile(filepath.Join(os.Getenv(lab.BinEnv), "traffic"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "traffic"), traffic, 0o755)
	}
	if err != nil {
		t.Fatalf("copy traffic: %v", err)
	}
	return dir
}

// limits are lower than what podman chooses, which root may not set everywhere.
var limits = []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}

// container finds a container's namespace and address.
func (s *Podman) container(t Cleaner, name string) (*lab.Machine, netip.Addr) {
	var found []struct {
		NetworkSettings struct {
			SandboxKey string
			IPAddress  netip.Addr
		}
	}
	out := s.podman("inspect", name)
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) == 0 {
		t.Fatalf("inspect %s: %v in %s", name, err, out)
	}
	at := found[0].NetworkSettings
	m := *s.host // in the same lab
	m.Name, m.Path = name, at.SandboxKey
	return &m, at.IPAddress
}

func (s *Podman) Route(d Direction) (Route, bool) {
	if d == Localhost {
		return s.local(), true
	}
	return s.published(d, s.addrs)
}

// cgroup is the one that all containers are in.
func (s *Podman) cgroup() string { return filepath.Base(s.host.Path) }

// end removes the containers, waits for what podman starts to clean up after them, and
// removes their cgroups.
func (s *Podman) end(t Cleaner) {
	s.podman("rm", "--all", "--force", "--time", "0")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		pids, err := netdev.Processes(s.host.Path)
		if err == nil && len(pids) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes of podman are left: %v, %v", pids, err)
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		roots, _ := filepath.Glob(pattern + s.cgroup())
		for _, root := range roots {
			if err := removeCgroup(root); err != nil {
				t.Fatalf("remove cgroup: %v", err)
			}
		}
	}
}

// removeCgroup removes a cgroup and those below it.
func removeCgroup(root string) error {
	var folders []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	for _, path := range slices.Backward(folders) {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
