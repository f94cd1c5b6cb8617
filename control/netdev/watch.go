package netdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// watchBuffer is how many bytes of events may wait in the kernel. More are lost,
// which is no harm: a loss is a change.
const watchBuffer = 1 << 20

// Watch signals after links, addresses or routes changed in the network namespace
// that the calling thread is in now. Signals that nobody took are one. The channel
// is closed when ctx ends or the socket breaks.
func Watch(ctx context.Context) (<-chan struct{}, error) {
	events, err := subscribe(watchBuffer)
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	// Closing the file wakes the reader.
	stop := context.AfterFunc(ctx, func() { events.Close() })
	go func() {
		defer events.Close()
		defer stop()
		signal(events, changed)
	}()
	return changed, nil
}

// subscribe opens a socket that receives all that Watch tells of.
func subscribe(buffer int) (*os.File, error) {
	return subscribeTo(
		buffer, unix.RTNLGRP_LINK,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	)
}

// subscribeTo opens a socket that receives what happens in the calling thread's
// network namespace, as far as the multicast groups tell.
func subscribeTo(buffer int, groups ...int) (events *os.File, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch network: %w", err)
	}
	events = os.NewFile(uintptr(fd), "netlink events")
	defer func() {
		if err != nil {
			events.Close()
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer); err != nil {
		return nil, fmt.Errorf("watch network: set buffer: %w", err)
	}
	var mask uint32
	for _, group := range groups {
		mask |= 1 << (group - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: mask}); err != nil {
		return nil, fmt.Errorf("watch network: %w", err)
	}
	return events, nil
}

// signal turns events into signals until the file is closed or broken. It does not
// read what they say: whoever looks then sees all of it.
func signal(events io.Reader, changed chan<- struct{}) {
	defer close(changed)
	buf := make([]byte, 1) // the rest of each message is thrown away
	for {
		_, err := events.Read(buf)
		// An overrun means lost events, and the socket goes on receiving.
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		select {
		case changed <- struct{}{}:
		default: // one is waiting already
		}
	}
}
