package netdev

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	// ErrExists says that the name is taken already.
	ErrExists = errors.New("exists already")
	// ErrNotFound says that there is no such link or namespace.
	ErrNotFound = errors.New("not found")
	// ErrNotBridge says that a link of another kind has the bridge's name.
	ErrNotBridge = errors.New("not a bridge")
	// ErrBridgeFull says that the bridge has MaxBridgePorts ports.
	ErrBridgeFull = errors.New("bridge has no free port")
	// ErrThreadLost says that the calling thread could not return to the network
	// namespace that it came from. The goroutine must end: the thread is locked to
	// it and is discarded with it.
	ErrThreadLost = errors.New("thread left in another network namespace")
)

// sentinel wraps the kernel's answer in the sentinel that means the same, so
// that callers compare with ours and still see the kernel's.
func sentinel(err error) error {
	var notFound netlink.LinkNotFoundError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &notFound):
		return ErrNotFound
	case errors.Is(err, unix.ENODEV), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, unix.EXFULL):
		return fmt.Errorf("%w: %w", ErrBridgeFull, err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %w", ErrExists, err)
	}
	return err
}
