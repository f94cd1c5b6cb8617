package main

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/test/bench/report"
)

// machine describes where the benchmark runs.
func machine() report.Machine {
	m := report.Machine{
		Time: time.Now().UTC().Format("2006-01-02 15:04 UTC"),
		CPU:  found("/proc/cpuinfo", `model name\s*: (.*)`),
		CPUs: runtime.NumCPU(),
		Go:   runtime.Version(),
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:]) + " " + unix.ByteSliceToString(name.Machine[:])
	}
	kb, _ := strconv.ParseUint(found("/proc/meminfo", `MemTotal:\s*(\d+)`), 10, 64)
	m.Memory = kb << 10
	out, _ := exec.Command("iperf3", "--version").Output()
	m.Iperf, _, _ = strings.Cut(string(out), " (")
	return m
}

// found is the first match of a pattern's group in a file; empty if there is none.
func found(path, pattern string) string {
	text, _ := os.ReadFile(path)
	match := regexp.MustCompile(pattern).FindSubmatch(text)
	if match == nil {
		return ""
	}
	return strings.TrimSpace(string(match[1]))
}
