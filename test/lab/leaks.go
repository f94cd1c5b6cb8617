package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/netdev"
)

// footprint remembers what a test's agents have put into the kernel, to see later
// that all of it is gone.
type footprint struct {
	processes map[process]string // with where they were
	programs  map[ebpf.ProgramID]string
	maps      map[ebpf.MapID]string
}

// process is told by its start time from a later one with the same id.
type process struct {
	pid     int
	started string // in ticks since boot
}

func newFootprint() *footprint {
	return &footprint{
		processes: map[process]string{},
		programs:  map[ebpf.ProgramID]string{},
		maps:      map[ebpf.MapID]string{},
	}
}

// note records all that is there now.
func (f *footprint) note(l *Lab) {
	for _, name := range l.namespaces() {
		for _, pid := range processesIn(filepath.Join("/run/netns", name)) {
			if started := startOf(pid); started != "" && pid != os.Getpid() {
				f.processes[process{pid, started}] = name
			}
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
	for p, name := range f.processes {
		if startOf(p.pid) == p.started {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid))
			problems = append(problems, fmt.Sprintf("process %d (%s) in %s", p.pid, strings.TrimSpace(string(comm)), name))
			unix.Kill(p.pid, unix.SIGKILL)
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

// processesIn lists the processes in the namespace at path; none if it is gone.
func processesIn(path string) []int {
	pids, err := netdev.Processes(path)
	if err != nil {
		return nil
	}
	return pids
}

// startOf reads when a process started; empty if it has ended.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the program's name, in parentheses and with any character.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if fields[0] == "Z" {
		return ""
	}
	return fields[19]
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
