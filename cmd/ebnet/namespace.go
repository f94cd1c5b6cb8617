package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
)

// enter moves the calling thread into a sandbox: into its network namespace,
// and into a mount namespace of its own where /etc/resolv.conf is the
// sandbox's. All other mounts stay as they are, /sys with its bpffs and cgroup
// mounts included.
//
// The thread stays locked to its goroutine: there is no way back from a mount
// namespace, so nothing else may run on it.
func enter(sandbox api.Sandbox, etcNetns string) error {
	runtime.LockOSThread()
	namespace, err := os.Open(sandbox.Netns)
	if err != nil {
		return fmt.Errorf("enter sandbox %s: %w", sandbox.Name, err)
	}
	defer namespace.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", sandbox.Netns, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	// The host's mounts still come in, ours do not go out.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("detach mounts from the host's: %w", err)
	}
	return showResolvConf(filepath.Join(etcNetns, filepath.Base(sandbox.Netns), "resolv.conf"))
}

// showResolvConf puts a file in the place of /etc/resolv.conf. Where either of
// the two does not exist the host's own stays.
func showResolvConf(source string) error {
	const target = "/etc/resolv.conf"
	for _, path := range []string{source, target} {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// findCommand is the file that a command's name stands for.
func findCommand(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || errors.Is(err, exec.ErrDot) {
		return path, nil
	}
	return "", startError(name, err)
}

// startError gives the reason why a command does not start its exit status, as
// a shell does.
func startError(name string, err error) error {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return &statusError{statusNotFound, fmt.Errorf("run %q: command not found", name)}
	case errors.Is(err, unix.ENOEXEC):
		return &statusError{statusNotRunning, fmt.Errorf("run %q: not a program that this machine can execute", name)}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EISDIR):
		return &statusError{statusNotRunning, fmt.Errorf("run %q: permission denied or not executable", name)}
	}
	return &statusError{statusNotRunning, fmt.Errorf("run %q: %w", name, err)}
}

// commandOf takes the dashes off a command line that may have them in front.
func commandOf(words []string) []string {
	if len(words) > 0 && words[0] == "--" {
		return words[1:]
	}
	return words
}
