package netdev

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dumpTries bounds how often an interrupted dump is read again. On a host where
// sandboxes come all the time most dumps of all links are interrupted.
const dumpTries = 50

// dump reads a list from the kernel again for as long as the list changed while
// it was read, which the kernel only says and does not repair.
func dump[T any](read func() (T, error)) (T, error) {
	var list T
	var err error
	for range dumpTries {
		list, err = read()
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return list, err
}
