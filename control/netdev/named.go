package netdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsDir is where `ip netns` looks for namespaces by name.
const netnsDir = "/run/netns"

// NetnsPath is the file that keeps the namespace called name.
func NetnsPath(name string) string { return filepath.Join(netnsDir, name) }

// CreateNetns makes a network namespace that lives under its name until
// DeleteNetns, visible to `ip netns`. It fails with ErrExists if the name is taken.
func CreateNetns(name string) (path string, err error) {
	if err := checkNetnsName(name); err != nil {
		return "", fmt.Errorf("create network namespace: %w", err)
	}
	if err := shareNetnsDir(); err != nil {
		return "", fmt.Errorf("create network namespace %s: %w", name, err)
	}

	file := NetnsPath(name)
	f, err := os.OpenFile(file, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0)
	if err != nil {
		return "", fmt.Errorf("create network namespace %s: %w", name, sentinel(err))
	}
	f.Close()
	defer func() {
		if err != nil {
			os.Remove(file)
		}
	}()

	ns, err := newNetns()
	if err != nil {
		return "", fmt.Errorf("create network namespace %s: %w", name, err)
	}
	defer unix.Close(ns)
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns), file, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("create network namespace %s: mount %s: %w", name, file, err)
	}
	return file, nil
}

// DeleteNetns takes the name away from its namespace, which ends with the last
// process or descriptor in it. It is no error if there is none of the name.
func DeleteNetns(name string) error {
	if err := checkNetnsName(name); err != nil {
		return fmt.Errorf("delete network namespace: %w", err)
	}
	path := NetnsPath(name)
	// EINVAL: a file on which nothing is mounted, left by a creation that was killed.
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("delete network namespace %s: unmount: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete network namespace %s: %w", name, err)
	}
	return nil
}

// ListNetns lists the names of the namespaces that have one, whoever made them.
func ListNetns() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// checkNetnsName keeps a name from leading out of the folder.
func checkNetnsName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > unix.NAME_MAX || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q cannot be a namespace's name", name)
	}
	return nil
}

// shareNetnsDir makes the folder a shared mount, as `ip netns` does: a namespace
// made in one mount namespace is then seen, and later let go of, in all.
func shareNetnsDir() (err error) {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	dir, err := os.Open(netnsDir)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Two at once would each mount the folder over itself.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", netnsDir, err)
	}

	share := func() error { return unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err = share()
	if errors.Is(err, unix.EINVAL) { // not a mount point yet
		if err := unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s on itself: %w", netnsDir, err)
		}
		err = share()
	}
	if err != nil {
		return fmt.Errorf("share mount %s: %w", netnsDir, err)
	}
	return nil
}

// newNetns makes a namespace and returns a descriptor that keeps it.
func newNetns() (fd int, err error) {
	err = visit(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		return nil
	}, func() error {
		fd, err = openNetns(threadNetns)
		return err
	})
	return fd, err
}
