package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// lockHolder finds the process that has the file locked, 0 if there is none to
// be seen. It looks at each open file's own list of locks: the numbers in
// /proc/locks cannot be compared on every file system.
func lockHolder(path string) int {
	want, err := os.Stat(path)
	if err != nil {
		return 0
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		// The name first: asking a dead network file system for a file's number may block.
		if link, err := os.Readlink(fd); err != nil || filepath.Base(link) != filepath.Base(path) {
			continue
		}
		got, err := os.Stat(fd)
		if err != nil || !os.SameFile(want, got) {
			continue
		}
		proc := filepath.Dir(filepath.Dir(fd))
		info, err := os.ReadFile(fmt.Sprintf("%s/fdinfo/%s", proc, filepath.Base(fd)))
		if err != nil || !bytes.Contains(info, []byte("FLOCK")) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(proc)); err == nil {
			return pid
		}
	}
	return 0
}
