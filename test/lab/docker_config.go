package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// path is that of something in the engine's folder.
func (d *Docker) path(names ...string) string {
	return filepath.Join(append([]string{d.dir}, names...)...)
}

// folders are where the engine's programs are, the most particular first.
func (d *Docker) folders() []string {
	folders := []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	if d.Version == Docker26 {
		folders = append([]string{docker26 + "/usr/sbin", docker26 + "/usr/bin"}, folders...)
	}
	return append([]string{d.path("bin")}, folders...)
}

// program is the path of one of the engine's programs.
func (d *Docker) program(name string) string {
	for _, dir := range d.folders() {
		path := filepath.Join(dir, name)
		if unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return name
}

// link puts the chosen iptables in front of the engine's PATH, and compose where the
// client looks for it.
func (d *Docker) link() {
	flavour := "nft"
	if d.options.Legacy {
		flavour = "legacy"
	}
	links := map[string]string{
		d.path("config", "cli-plugins", "docker-compose"): docker26 + "/usr/libexec/docker/cli-plugins/docker-compose",
	}
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, tool := range []string{"", "-save", "-restore"} {
			links[d.path("bin", family+tool)] = fmt.Sprintf("/usr/sbin/%s-%s%s", family, flavour, tool)
		}
	}
	for path, target := range links {
		if err := os.Symlink(target, path); err != nil {
			d.lab.t.Fatalf("link %s: %v", path, err)
		}
	}
}

// configure writes containerd's and dockerd's files.
func (d *Docker) configure() {
	d.write("containerd.toml", fmt.Sprintf(`
version = 2
root = "%[1]s/containerd"
state = "%[1]s/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "%[1]s/containerd.sock"
`, d.dir))
	config := map[string]any{
		"hosts":            []string{"unix://" + d.Socket()},
		"containerd":       d.path("containerd.sock"),
		"data-root":        d.path("data"),
		"exec-root":        d.path("exec"),
		"pidfile":          d.path("docker.pid"),
		"exec-opts":        []string{"native.cgroupdriver=cgroupfs"},
		"cgroup-parent":    "/" + d.cgroup(),
		"storage-driver":   d.storage(),
		"iptables":         d.options.Iptables,
		"ip6tables":        false,
		"userland-proxy":   d.options.Proxy,
		"live-restore":     d.options.LiveRestore,
		"shutdown-timeout": 5,
	}
	if d.Version == Docker20 {
		config["deprecated-key-path"] = d.path("key.json") // otherwise in /etc/docker
	}
	if d.options.Proxy {
		config["userland-proxy-path"] = d.program("docker-proxy") // Docker 26.1 wants it when it reloads
	}
	maps.Copy(config, d.options.Config)
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		d.lab.t.Fatalf("write daemon.json: %v", err)
	}
	d.write("daemon.json", string(text))
}

func (d *Docker) write(name, content string) {
	if err := os.WriteFile(d.path(name), []byte(content), 0o644); err != nil {
		d.lab.t.Fatalf("write %s: %v", name, err)
	}
}

// storage is the storage driver that works here: overlayfs has no use for itself.
func (d *Docker) storage() string {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.dir, &fs); err == nil && fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "vfs"
	}
	return "overlay2"
}
