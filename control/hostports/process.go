package hostports

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// inUse builds the error for a socket, with the process that has it.
func (t *table) inUse(proto string, s sock) *InUseError {
	pid, name := holder(s.inode)
	return &InUseError{Proto: proto, Addr: s.local.Addr().Unmap(), Port: s.local.Port(), PID: pid, Process: name}
}

// holder finds the process that has the socket open, the lowest pid if several
// share it; 0 if none is to be seen.
func holder(inode uint64) (pid int, name string) {
	want := "socket:[" + strconv.FormatUint(inode, 10) + "]"
	for _, pid := range pids() {
		dir := "/proc/" + strconv.Itoa(pid)
		entries, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue // it has gone
		}
		for _, e := range entries {
			if link, err := os.Readlink(filepath.Join(dir, "fd", e.Name())); err == nil && link == want {
				comm, _ := os.ReadFile(dir + "/comm")
				return pid, strings.TrimSuffix(string(comm), "\n")
			}
		}
	}
	return 0, ""
}

func pids() (all []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	slices.SortFunc(all, cmp.Compare[int])
	return all
}
