package lab

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// DockerImage is the image that every engine has: busybox, and the tests' traffic. Its
// containers sleep if they are told nothing else, and end as soon as they are asked to.
const DockerImage = "ebnet-test"

// busybox is the static one that test/deps.sh unpacks.
const busybox = docker26 + "/usr/bin/busybox"

// importImage makes the image from what is installed: nothing is pulled.
func (d *Docker) importImage() {
	d.lab.t.Helper()
	path := d.path("image.tar")
	if err := writeImage(path, d.lab.program("traffic")); err != nil {
		d.lab.t.Fatalf("make image: %v", err)
	}
	// A first process that does not catch SIGTERM never gets it.
	d.Run("import", "--change", `CMD ["sh", "-c", "trap exit TERM; sleep 1000000 & wait"]`,
		"--change", "ENV PATH=/bin", path, DockerImage)
}

// writeImage writes the image's files into a tar file.
func writeImage(path, traffic string) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	image := tar.NewWriter(file)
	for _, dir := range []string{"bin", "etc", "proc", "sys", "dev", "run", "root", "tmp"} {
		if err := image.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	for name, source := range map[string]string{"bin/busybox": busybox, "bin/traffic": traffic} {
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		if err := addFile(image, name, 0o755, content); err != nil {
			return err
		}
	}
	if err := addFile(image, "etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n")); err != nil {
		return err
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return err
	}
	for _, applet := range strings.Fields(string(applets)) {
		if applet == "busybox" {
			continue
		}
		link := &tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777}
		if err := image.WriteHeader(link); err != nil {
			return err
		}
	}
	return image.Close()
}

func addFile(image *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}
	if err := image.WriteHeader(header); err != nil {
		return err
	}
	_, err := image.Write(content)
	return err
}

// Container is a running container, as a machine to work on: what is opened on it is
// opened in its network namespace.
type Container struct {
	*Machine
	ID   string
	PID  int                   // of its first process
	Addr netip.Addr            // on its first network, by name
	On   map[string]netip.Addr // its address on each network
}

// Container finds a container that runs.
func (d *Docker) Container(name string) *Container {
	d.lab.t.Helper()
	var found []struct {
		ID              string `json:"Id"`
		State           struct{ Pid int }
		NetworkSettings struct {
			SandboxKey string
			Networks   map[string]struct{ IPAddress string }
		}
	}
	if err := json.Unmarshal([]byte(d.Run("inspect", name)), &found); err != nil {
		d.lab.t.Fatalf("inspect %s: %v", name, err)
	}
	info := found[0]
	if info.State.Pid == 0 {
		d.lab.t.Fatalf("container %s does not run", name)
	}
	c := &Container{
		Machine: &Machine{Name: name, Path: info.NetworkSettings.SandboxKey, lab: d.lab},
		ID:      info.ID,
		PID:     info.State.Pid,
		On:      map[string]netip.Addr{},
	}
	if c.Path == "" { // it is in another container's
		c.Path = fmt.Sprintf("/proc/%d/ns/net", c.PID)
	}
	first := ""
	for network, at := range info.NetworkSettings.Networks {
		addr, err := netip.ParseAddr(at.IPAddress)
		if err != nil {
			continue // none or host
		}
		c.On[network] = addr
		if first == "" || network < first {
			first, c.Addr = network, addr
		}
	}
	return c
}
