package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/netdev"
)

// cgroup names the cgroup that all of the engine's containers are in. The test's prefix
// tells whose it is.
func (d *Docker) cgroup() string { return d.lab.prefix + d.Machine.Name }

// end removes the containers and ends the engine, in an administrator's order as far as
// it still answers. It returns what is left all the same.
func (d *Docker) end() []string {
	shims := shimSockets(d.Machine.Path)
	if d.dockerd != nil && d.dockerd.Running() {
		if ids := strings.Fields(d.atEnd("ps", "--all", "--quiet")); len(ids) > 0 {
			d.atEnd(append([]string{"rm", "--force", "--volumes"}, ids...)...)
		}
	}
	for _, p := range []*Proc{d.dockerd, d.containerd} {
		if p == nil || !p.Running() {
			continue
		}
		unix.Kill(p.PID(), unix.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			p.Kill()
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	waitGone(deadline, func() bool {
		daemons := d.daemons()
		for _, pid := range daemons {
			unix.Kill(pid, unix.SIGKILL)
		}
		return killCgroup(d.cgroup()) && len(daemons) == 0
	})
	for _, path := range shims {
		os.Remove(path)
	}
	unmountBelow(d.dir)
	waitGone(deadline, func() bool { return removeCgroup(d.cgroup()) })
	return d.left()
}

// testerFile has the id of the test's process, in the engine's folder.
const testerFile = "tester"

// removeStaleDocker removes the containers, cgroups, mounts and folders of the engines
// of test processes that were killed. What ran in their machines is dead already.
func removeStaleDocker() {
	for _, name := range cgroupsOf("ebt-") {
		if stale(strings.TrimPrefix(name, "ebt-")) {
			waitGone(time.Now().Add(10*time.Second), func() bool {
				killCgroup(name)
				return removeCgroup(name)
			})
		}
	}
	files, _ := filepath.Glob(filepath.Join(os.TempDir(), "ebt-*", "*", "docker", testerFile))
	for _, file := range files {
		if text, _ := os.ReadFile(file); stale(string(text)) {
			dir := filepath.Dir(filepath.Dir(filepath.Dir(file)))
			unmountBelow(dir)
			os.RemoveAll(dir)
		}
	}
}

// cgroupsOf lists the names of top cgroups that begin with prefix.
func cgroupsOf(prefix string) []string {
	var names []string
	for _, root := range cgroupFolders("") {
		paths, _ := filepath.Glob(filepath.Join(root, prefix+"*"))
		for _, path := range paths {
			if name := filepath.Base(path); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// stale says of a text that begins with a process's id whether that process is gone.
func stale(text string) bool {
	id, _, _ := strings.Cut(text, "-")
	pid, err := strconv.Atoi(id)
	return err == nil && syscall.Kill(pid, 0) != nil
}

// atEnd runs a docker command that may fail, or hang: there are harder ways.
func (d *Docker) atEnd(args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	command := d.Command(args...)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = 5 * time.Second
	out, _ := cmd.Output()
	return string(out)
}

// left lists the processes, mounts and cgroups of an engine.
func (d *Docker) left() []string {
	var problems []string
	for _, pid := range append(d.daemons(), processesInCgroup(d.cgroup())...) {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		problems = append(problems, fmt.Sprintf("process %d (%s) of Docker", pid, bytes.TrimSpace(comm)))
	}
	for _, path := range mountsBelow(d.dir) {
		problems = append(problems, "mount "+path)
	}
	for _, path := range cgroupFolders(d.cgroup()) {
		problems = append(problems, "cgroup "+path)
	}
	return problems
}

// daemons lists the engine's own processes: dockerd, containerd, its shims and what is
// about to become a container. They have the engine's folder in their command lines.
func (d *Docker) daemons() []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		comm, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "comm"))
		name := strings.TrimSpace(string(comm))
		ours := name == "dockerd" || name == "runc" || strings.HasPrefix(name, "containerd")
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && ours && bytes.Contains(line, []byte(d.dir+"/")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// shimSockets lists the sockets of the containers' shims that run in the namespace at
// path. They are in a folder that all engines share, and a killed shim leaves them.
func shimSockets(path string) []string {
	var paths []string
	netdev.Do(path, func() error {
		sockets, err := os.ReadFile("/proc/thread-self/net/unix")
		for line := range strings.Lines(string(sockets)) {
			words := strings.Fields(line)
			if path := words[len(words)-1]; strings.HasPrefix(path, "/run/containerd/s/") && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
		return err
	})
	return paths
}

// mountsBelow lists what is mounted in a folder, in the order in which it was.
func mountsBelow(dir string) []string {
	var paths []string
	for _, words := range mountinfo() {
		if strings.HasPrefix(words[4], dir+"/") {
			paths = append(paths, words[4])
		}
	}
	return paths
}

// unmountBelow unmounts all that is mounted in a folder.
func unmountBelow(dir string) {
	for _, path := range slices.Backward(mountsBelow(dir)) {
		unix.Unmount(path, unix.MNT_DETACH)
	}
}

// cgroupFolders finds a cgroup in every hierarchy that has it.
func cgroupFolders(name string) []string {
	var paths []string
	for _, words := range mountinfo() {
		kind := words[slices.Index(words, "-")+1]
		if kind != "cgroup" && kind != "cgroup2" {
			continue
		}
		if path := filepath.Join(words[4], name); isDir(path) {
			paths = append(paths, path)
		}
	}
	return paths
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// processesInCgroup lists the processes in a cgroup and those below it.
func processesInCgroup(name string) []int {
	var pids []int
	for _, root := range cgroupFolders(name) {
		for _, path := range filesBelow(root) {
			if filepath.Base(path) != "cgroup.procs" {
				continue
			}
			text, _ := os.ReadFile(path)
			for _, word := range strings.Fields(string(text)) {
				if pid, err := strconv.Atoi(word); err == nil && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// killCgroup kills the processes in a cgroup and those below it, and says whether there
// were none any more. The frozen ones have to thaw to die.
func killCgroup(name string) bool {
	pids := processesInCgroup(name)
	for _, pid := range pids {
		unix.Kill(pid, unix.SIGKILL)
	}
	for _, root := range cgroupFolders(name) {
		for _, path := range filesBelow(root) {
			switch filepath.Base(path) {
			case "freezer.state":
				os.WriteFile(path, []byte("THAWED"), 0)
			case "cgroup.freeze":
				os.WriteFile(path, []byte("0"), 0)
			}
		}
	}
	return len(pids) == 0
}

// removeCgroup removes a cgroup and those below it, which have no processes any more,
// and says whether it is gone.
func removeCgroup(name string) bool {
	for _, root := range cgroupFolders(name) {
		var folders []string
		filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		for _, path := range slices.Backward(folders) {
			os.Remove(path)
		}
	}
	return len(cgroupFolders(name)) == 0
}

// mountinfo reads the mounts, each as its words; see proc(5).
func mountinfo() [][]string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	var mounts [][]string
	for line := range strings.Lines(string(text)) {
		mounts = append(mounts, strings.Fields(line))
	}
	return mounts
}
