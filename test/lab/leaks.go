package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// footprint remembers what a test's agents have put into the kernel, to see later
// that all of it is gone.
type footprint struct {
	namespaces map[uint64]string // by inode, with names
	programs   map[ebpf.ProgramID]string
	maps       map[ebpf.MapID]string
}

func newFootprint() *footprint {
	return &footprint{
		namespaces: map[uint64]string{},
		programs:   map[ebpf.ProgramID]string{},
		maps:       map[ebpf.MapID]string{},
	}
}

// note records all that is there now.
func (f *footprint) note(l *Lab) {
	for _, name := range l.namespaces() {
		var st unix.Stat_t
		if unix.Stat(filepath.Join("/run/netns", name), &st) == nil {
			f.namespaces[st.Ino] = name
		}
	}
	for _, a := range l.agents {
		for _, path := range filesBelow(a.Pins()) {
			f.notePin(path)
		}
	}
}

// notePin records the map, or the link's program, that is pinned at path.
func (f *footprint) notePin(path string) {
	if m, err := ebpf.LoadPinnedMap(path, nil); err == nil {
		defer m.Close()
		if info, err := m.Info(); err == nil {
			if id, ok := info.ID(); ok {
				f.maps[id] = info.Name
			}
		}
		return
	}
	if ln, err := link.LoadPinnedLink(path, nil); err == nil {
		defer ln.Close()
		if info, err := ln.Info(); err == nil {
			f.programs[info.Program] = filepath.Base(path)
		}
	}
}

// leftBehind lists the namespaces, processes, pins and links of the test's that
// remain although every agent was purged. The machines themselves are still there.
func (f *footprint) leftBehind(l *Lab) []string {
	var problems []string
	var machines []string
	for _, m := range l.machines {
		machines = append(machines, filepath.Base(m.Path))
	}
	for _, name := range l.namespaces() {
		if !slices.Contains(machines, name) {
			problems = append(problems, "namespace "+name)
		}
	}
	folders, _ := filepath.Glob("/etc/netns/" + l.prefix + "*")
	problems = append(problems, folders...)
	for _, a := range l.agents {
		for _, path := range append(filesBelow(a.Pins()), a.Pins()) {
			if _, err := os.Lstat(path); err == nil {
				problems = append(problems, "pin "+path)
			}
		}
		for line := range strings.Lines(a.Machine.IP("-o", "link")) {
			if strings.Contains(line, ": eb") {
				problems = append(problems, fmt.Sprintf("link on %s: %s", a.Machine.Name, line))
			}
		}
	}
	for inode, name := range f.namespaces {
		for _, pid := range processesInNamespace(inode) {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			problems = append(problems, fmt.Sprintf("process %d (%s) in %s", pid, strings.TrimSpace(string(comm)), name))
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	return problems
}

// kernelObjects lists the maps and programs that are still loaded. The kernel frees
// them a moment after their last user went, so it is given that moment.
func (f *footprint) kernelObjects() []string {
	var problems []string
	deadline := time.Now().Add(5 * time.Second)
	for id, name := range f.programs {
		if waitGone(deadline, func() bool {
			p, err := ebpf.NewProgramFromID(id)
			p.Close()
			return err != nil
		}) {
			continue
		}
		problems = append(problems, fmt.Sprintf("BPF program %d of %s", id, name))
	}
	for id, name := range f.maps {
		if waitGone(deadline, func() bool {
			m, err := ebpf.NewMapFromID(id)
			m.Close()
			return err != nil
		}) {
			continue
		}
		problems = append(problems, fmt.Sprintf("BPF map %d %s", id, name))
	}
	return problems
}

func waitGone(deadline time.Time, gone func() bool) bool {
	for !gone() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// namespaces lists the names of the test's namespaces.
func (l *Lab) namespaces() []string {
	var names []string
	entries, _ := os.ReadDir("/run/netns")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), l.prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

// processesIn lists the processes in the namespace at path.
func processesIn(path string) []int {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return nil
	}
	return processesInNamespace(st.Ino)
}

func processesInNamespace(inode uint64) []int {
	var pids []int
	want := fmt.Sprintf("net:[%d]", inode)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ns, err := os.Readlink(filepath.Join("/proc", e.Name(), "ns/net")); err == nil && ns == want {
			pids = append(pids, pid)
		}
	}
	return pids
}

// filesBelow lists the files in a folder and its sub-folders.
func filesBelow(dir string) []string {
	var files []string
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return nil
	})
	return files
}
