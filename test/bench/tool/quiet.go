package tool

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// quietEnv marks a process that quieten has started over.
const quietEnv = "EBNET_BENCH_QUIET"

// quieten leaves of the runtime one thread that works: all threads are on the given
// CPU, nothing is collected and nobody is preempted. Threads that run already cannot be
// moved as one, so the process starts over; it returns in the new one only.
func quieten(cpu int) error {
	if os.Getenv(quietEnv) != "" {
		runtime.LockOSThread()
		debug.SetGCPercent(-1)
		return nil
	}
	if cpu >= 0 {
		runtime.LockOSThread()
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("run on CPU %s: %w", strconv.Itoa(cpu), err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env := append(os.Environ(), quietEnv+"=1", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1")
	return fmt.Errorf("start over: %w", unix.Exec(self, os.Args, env))
}
