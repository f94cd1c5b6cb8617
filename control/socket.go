package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketGroup is the group whose members may use the socket.
const socketGroup = "ebnet"

// nsLock is the name of an abstract socket, which a network namespace has once
// and which ends with its process: whoever holds it is the namespace's agent.
const nsLock = "@ebnet-agent"

// lockNamespace makes this process the only agent of its network namespace. The
// error names the process that is it already.
func lockNamespace() (net.Listener, error) {
	lock, err := net.Listen("unix", nsLock)
	if errors.Is(err, syscall.EADDRINUSE) {
		if peer, ok := listener(nsLock); ok && peer.Uid != 0 {
			// Anybody may take an abstract name, but only root is an agent.
			return nil, nil
		}
		return nil, fmt.Errorf("another agent%s works in this network namespace: stop it, or start this one in another namespace", holder(nsLock))
	}
	if err != nil {
		return nil, fmt.Errorf("lock network namespace: %w", err)
	}
	return lock, nil
}

// listener asks the kernel who listens at a socket.
func listener(socket string) (*unix.Ucred, bool) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, false
	}
	defer conn.Close()
	peer, err := peerOf(conn.(*net.UnixConn))
	return peer, err == nil
}

// holder names the process behind a socket as " (pid 12)", if it can be found.
func holder(socket string) string {
	peer, ok := listener(socket)
	if !ok || peer.Pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", peer.Pid)
}

// lockDir keeps another agent from taking the folder, which may be one of
// another network namespace.
func lockDir(path string) (*os.File, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("lock run folder: %w", err)
	}
	err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("another agent%s uses it: choose another --run", holder(filepath.Join(path, SocketName)))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock run folder %s: %w", path, err), dir.Close())
	}
	return dir, nil
}

// listen opens the agent's socket for root and the group ebnet. A socket that a
// dead agent left is replaced, one that a living agent answers at is an error.
func listen(path string) (net.Listener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("listen at %s: another agent%s does: stop it, or choose another --run", path, holder(path))
	}
	info, err := os.Lstat(path)
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, fmt.Errorf("listen at %s: there is something else than a socket: remove it, or choose another --run", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale socket: %w", err)
	}
	// Nobody may connect between bind and chmod, so the mode comes with the bind.
	var config net.ListenConfig
	config.Control = func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}
	socket, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	if err := openToGroup(path); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

// openToGroup gives the socket to the group ebnet, or to root's where the host
// has no such group.
func openToGroup(path string) error {
	gid := 0
	if group, err := user.LookupGroup(socketGroup); err == nil {
		if gid, err = strconv.Atoi(group.Gid); err != nil {
			return fmt.Errorf("read group %s: %w", socketGroup, err)
		}
	}
	if err := os.Chown(path, 0, gid); err != nil && os.Geteuid() == 0 {
		return fmt.Errorf("give socket to group %s: %w", socketGroup, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("set mode of socket: %w", err)
	}
	return nil
}
