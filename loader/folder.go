package loader

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// folder is where on a bpffs an agent's pins hang.
type folder string

// The version in the path changes when the meaning of a pin does.
func (f folder) version() string { return filepath.Join(string(f), "v1") }

func (f folder) maps() string { return filepath.Join(f.version(), "maps") }

func (f folder) links() string { return filepath.Join(f.version(), "links") }

func (f folder) qdiscs() string { return filepath.Join(f.version(), "qdiscs") }

func (f folder) mapPin(name string) string { return filepath.Join(f.maps(), name) }

func (f folder) linkPin(name string) string { return filepath.Join(f.links(), name) }

// qdiscMark is the folder that says that ebnet made the device's qdisc.
func (f folder) qdiscMark(ifindex int) string {
	return filepath.Join(f.qdiscs(), strconv.Itoa(ifindex))
}

const netnsMark = "netns-"

// makeFolder makes the folders that are missing, on a bpffs that it mounts
// where there is none. Only root may look inside.
func makeFolder(path string) (folder, error) {
	path, err := absolute(path)
	if err != nil {
		return "", err
	}
	if err := mountBPFFS(path); err != nil {
		return "", err
	}
	f := folder(path)
	for _, p := range []string{f.maps(), f.links(), f.qdiscs()} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			return "", fmt.Errorf("make folder: %w", err)
		}
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return "", fmt.Errorf("close folder to others: %w", err)
	}
	return f, nil
}

// absolute makes a path absolute. An empty one is no path, and above all not the
// working folder.
func absolute(path string) (string, error) {
	if path == "" {
		return "", errors.New("no folder on a bpffs is named")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolve path: %w", err)
	}
	return path, nil
}

// prune removes the folders that hold nothing.
func (f folder) prune() {
	for _, p := range []string{f.qdiscs(), f.links(), f.maps(), f.version(), string(f)} {
		_ = os.Remove(p) // refused where something is inside
	}
}

// served are the cookies of the namespaces that the folder is marked with.
func (f folder) served() ([]uint64, error) {
	names, err := list(f.version())
	if err != nil {
		return nil, err
	}
	var cookies []uint64
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, netnsMark)
		if !ok {
			continue
		}
		cookie, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read mark %s: %w", name, err)
		}
		cookies = append(cookies, cookie)
	}
	return cookies, nil
}

// mark says that the folder serves one namespace and no other.
func (f folder) mark(cookie uint64) error {
	served, err := f.served()
	if err != nil {
		return err
	}
	for _, old := range served {
		if old == cookie {
			continue
		}
		if err := os.Remove(f.netnsMark(old)); err != nil {
			return fmt.Errorf("remove mark: %w", err)
		}
		// Devices of a namespace that is gone are gone, too.
		if err := f.forgetQdiscs(); err != nil {
			return err
		}
	}
	if err := os.Mkdir(f.netnsMark(cookie), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("mark namespace: %w", err)
	}
	return nil
}

func (f folder) netnsMark(cookie uint64) string {
	return filepath.Join(f.version(), netnsMark+strconv.FormatUint(cookie, 10))
}

func (f folder) forgetQdiscs() error {
	names, err := list(f.qdiscs())
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := remove(filepath.Join(f.qdiscs(), name)); err != nil {
			return err
		}
	}
	return nil
}

// list names what is in a folder, nothing if there is no such folder.
func list(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list folder: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// remove removes a pin or an empty folder; one that is gone is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pin: %w", err)
	}
	return nil
}
