package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/netdev"
)

const (
	hostIP   = "198.51.100.1"
	clientIP = "198.51.100.2"
)

// machine is a network namespace.
type machine struct {
	name string // in the demo's words
	path string // of the namespace
}

// world is all that the demo builds.
type world struct {
	ebnet, self  string // paths of the binary and of this program
	dir          string
	prefix       string // of every namespace
	host, client machine
	running      []*exec.Cmd // the agent is the first
	log          *lockedBuffer
}

// newWorld builds two machines and a cable. What it returns has to be closed, also
// beside an error.
func newWorld(ebnet string) (*world, error) {
	w := &world{prefix: fmt.Sprintf("ebnet-demo-%d-", os.Getpid()), log: &lockedBuffer{}}
	var err error
	if w.ebnet, err = filepath.Abs(ebnet); err != nil {
		return nil, err
	}
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "ebnet-demo-"); err != nil {
		return nil, err
	}
	w.host.name, w.client.name = "host", "client"
	for _, m := range []*machine{&w.host, &w.client} {
		if m.path, err = netdev.CreateNetns(w.prefix + m.name); err != nil {
			return w, err
		}
	}
	if err := os.Mkdir(w.path("bpf"), 0o755); err != nil {
		return w, err
	}
	if err := unix.Mount("bpf", w.path("bpf"), "bpf", 0, ""); err != nil {
		return w, fmt.Errorf("mount bpffs: %w", err)
	}
	if err := netdev.Do(w.host.path, func() error { return cable(w.client.path) }); err != nil {
		return w, err
	}
	for m, addr := range map[machine]string{w.host: hostIP, w.client: clientIP} {
		if err := netdev.Do(m.path, func() error { return up(addr) }); err != nil {
			return w, fmt.Errorf("set up %s: %w", m.name, err)
		}
	}
	return w, nil
}

// path is a file in the demo's folder.
func (w *world) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

// cable makes a veth pair between the calling thread's namespace and another.
func cable(other string) error {
	ns, err := os.Open(other)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: "eth0"},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(ns.Fd()),
	}); err != nil {
		return fmt.Errorf("make cable: %w", err)
	}
	return nil
}

// up gives the calling thread's namespace its address.
func up(addr string) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if name == "eth0" {
			ip := &net.IPNet{IP: net.ParseIP(addr), Mask: net.CIDRMask(24, 32)}
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ip}); err != nil {
				return fmt.Errorf("add address %s: %w", addr, err)
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
	}
	return netdev.WriteSysctl("net.ipv4.ip_forward", "0")
}

// close takes everything down, the agent's things by `ebnet purge`. With failed, it
// shows what the programs in the background have said.
func (w *world) close(failed bool) error {
	var errs []error
	keep := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	if failed {
		fmt.Fprintf(os.Stderr, "\n# The agent and the servers said:\n%s", indent(w.log.String()))
	}
	if len(w.running) > 0 {
		purge := []string{"ebnet", "purge", "--all"}
		w.say("The end: everything out of the kernel, the sandboxes' processes ended, the agent gone.")
		fmt.Println(w.host.prompt(), "ebnet purge --all")
		_, err := w.quietly(w.host, append(purge, "--state", w.path("state"), "--bpffs", w.path("bpf", "ebnet"), "--netns-prefix", w.prefix+"box-")...)
		keep(err)
	}
	for _, cmd := range w.running {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	}
	for _, m := range []machine{w.client, w.host} {
		if m.path != "" {
			keep(netdev.DeleteNetns(filepath.Base(m.path)))
		}
	}
	names, err := netdev.ListNetns()
	keep(err)
	for _, name := range names {
		if strings.HasPrefix(name, w.prefix) {
			keep(fmt.Errorf("purge left the namespace %s", name))
		}
	}
	if pins, err := os.ReadDir(w.path("bpf", "ebnet")); err == nil && len(pins) > 0 {
		keep(fmt.Errorf("purge left pins: %v", pins))
	}
	if err := unix.Unmount(w.path("bpf"), 0); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		keep(fmt.Errorf("unmount bpffs: %w", err))
	}
	keep(os.RemoveAll(w.dir))
	return errors.Join(errs...)
}

// lockedBuffer is a buffer that several programs write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
