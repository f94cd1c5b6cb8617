package owner

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrGone says that there is no such process.
var ErrGone = errors.New("no such process")

// StartTime returns when a process began, in clock ticks since boot. Together
// with the pid and the boot ID it names the process for good. It wraps ErrGone.
func StartTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ESRCH):
		return 0, fmt.Errorf("read start time of pid %d: %w", pid, ErrGone)
	case err != nil:
		return 0, fmt.Errorf("read start time of pid %d: %w", pid, err)
	}
	start, err := parseStart(string(data))
	if err != nil {
		return 0, fmt.Errorf("read start time of pid %d: %w", pid, err)
	}
	return start, nil
}

// parseStart finds the 22nd field of /proc/PID/stat. The second one is the
// name in parentheses, which may itself contain parentheses, spaces and line
// breaks, so counting begins behind the last closing one.
func parseStart(stat string) (uint64, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const startField = 22 - 3 // the first behind the name is number 3
	if len(fields) <= startField {
		return 0, fmt.Errorf("parse %q: too few fields", stat)
	}
	start, err := strconv.ParseUint(fields[startField], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse %q: %w", stat, err)
	}
	return start, nil
}

// BootID names this run of the kernel: start times of another one mean nothing.
func BootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot ID: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// Alive says whether the process that began at start still runs. A zombie does not.
func Alive(pid int, start uint64) (bool, error) {
	fd, err := open(pid, start)
	if errors.Is(err, ErrGone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	ended, err := wait([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return !ended, err
}

// open returns a pidfd of exactly this process, or wraps ErrGone.
func open(pid int, start uint64) (int, error) {
	fd, err := openAny(pid)
	if err != nil {
		return -1, err
	}
	// The descriptor came first: if the pid now belongs to the right process,
	// it did so then, too.
	got, err := StartTime(pid)
	if err == nil && got != start {
		err = fmt.Errorf("open pid %d: %w: the pid belongs to another one now", pid, ErrGone)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func openAny(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		err = ErrGone
	}
	if err != nil {
		return -1, fmt.Errorf("open pid %d: %w", pid, err)
	}
	return fd, nil
}
