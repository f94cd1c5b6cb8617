package loader

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	sysBPFFS = "/sys/fs/bpf"
	// ownSource is the source of a mount that ebnet made for itself alone, by
	// which Purge knows that it may unmount it.
	ownSource = "ebnet"
)

// CgroupRoot finds the root of the cgroup2 hierarchy, wherever it is mounted.
// It wraps ErrNoCgroup.
func CgroupRoot() (string, error) {
	mounts, err := readMounts()
	if err != nil {
		return "", err
	}
	for _, m := range mounts {
		if m.fsType == "cgroup2" && m.root == "/" {
			return m.point, nil
		}
	}
	return "", ErrNoCgroup
}

// mountBPFFS sees to it that path is, or can be made, on a bpffs. The usual
// place gets the usual mount; any other path one of its own, and only if
// nothing is there that the mount would hide.
func mountBPFFS(path string) error {
	on, err := onBPFFS(path)
	if on || err != nil {
		return err
	}
	point, source := path, ownSource
	if path == sysBPFFS || strings.HasPrefix(path, sysBPFFS+"/") {
		point, source = sysBPFFS, "bpf"
	}
	if err := os.MkdirAll(point, 0o700); err != nil {
		return fmt.Errorf("make mount point: %w", err)
	}
	dir, err := os.Open(point)
	if err != nil {
		return fmt.Errorf("open mount point: %w", err)
	}
	defer dir.Close()
	// Two agents that start together must not mount over each other.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock mount point: %w", err)
	}
	if on, err := onBPFFS(path); on || err != nil {
		return err
	}
	if _, err := dir.Readdirnames(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("mount bpffs on %s: folder is not empty", point)
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount(source, point, "bpf", flags, "mode=0700"); err != nil {
		return fmt.Errorf("mount bpffs on %s: %w", point, err)
	}
	return nil
}

// unmountOwn unmounts a bpffs that ebnet mounted on path for itself, unless
// others have taken to it.
func unmountOwn(path string) error {
	point, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("resolve path: %w", err)
	}
	names, err := list(point)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != "maps.debug" && name != "progs.debug" { // the kernel's own
			return nil
		}
	}
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.point != point || m.fsType != "bpf" || m.source != ownSource {
			continue
		}
		if err := unix.Unmount(path, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return nil
}

// onBPFFS tells whether path, or the nearest folder above it that exists, is on
// a bpffs.
func onBPFFS(path string) (bool, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		if err == nil {
			return st.Type == unix.BPF_FS_MAGIC, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return false, fmt.Errorf("look at %s: %w", path, err)
		}
		path = filepath.Dir(path)
	}
}

// mount is a line of /proc/thread-self/mountinfo.
type mount struct {
	root, point, fsType, source string
}

func readMounts() ([]mount, error) {
	file, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	defer file.Close()
	return parseMounts(file)
}

// parseMounts reads the format of proc_pid_mountinfo(5):
//
//	36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw
func parseMounts(r io.Reader) ([]mount, error) {
	var mounts []mount
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	s := bufio.NewScanner(r)
	for s.Scan() {
		before, after, ok := strings.Cut(s.Text(), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 2 {
			continue
		}
		mounts = append(mounts, mount{
			root:   unescape.Replace(f[3]),
			point:  unescape.Replace(f[4]),
			fsType: g[0],
			source: unescape.Replace(g[1]),
		})
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	return mounts, nil
}
