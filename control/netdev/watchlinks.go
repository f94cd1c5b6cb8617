package netdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// linkBuffer is how many bytes of link events may wait in the kernel: some 7000
// events, of which a veth makes ten until its carrier is there.
const linkBuffer = 8 << 20

// linkMessage is how long a message about a link may be, in bytes.
const linkMessage = 1 << 16

// LinkEvent is one thing that happened to a device.
type LinkEvent struct {
	Link   LinkInfo // as it was then, without Addrs, Broadcasts and Isolated
	Gone   bool     // deleted, or moved to another namespace
	Resync bool     // nothing else is set: read all links now, as events were lost
}

// WatchLinks hands each change of a device of the network namespace that the calling
// thread is in now to handle: that it is there, has become a port of a bridge, got
// its carrier, is gone. They come one at a time, as they happened, from the moment
// on at which WatchLinks returns; what they say may be over already. The first is a
// Resync, and another comes whenever the kernel had more events than fit in its
// buffer, after the last of those that did.
//
// Handle is called from another goroutine and should not take long. The channel gets
// what ended it once it is not called any more: nil if ctx did.
func WatchLinks(ctx context.Context, handle func(LinkEvent)) (<-chan error, error) {
	socket, err := subscribeTo(linkBuffer, unix.RTNLGRP_LINK)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	// Closing the file wakes the reader.
	stop := context.AfterFunc(ctx, func() { socket.Close() })
	go func() {
		defer socket.Close()
		defer stop()
		err := watchLinks(socket, handle)
		if ctx.Err() != nil {
			err = nil
		}
		ended <- err
	}()
	return ended, nil
}

// watchLinks hands out events until the socket is closed or broken.
func watchLinks(socket *os.File, handle func(LinkEvent)) error {
	conn, err := socket.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch links: %w", err)
	}
	handle(LinkEvent{Resync: true})
	buf := make([]byte, linkMessage)
	lost := false
	for {
		n, from, err := receive(conn, buf, !lost)
		switch {
		case errors.Is(err, unix.EAGAIN):
			// Only now: from an overrun until all that waited has been read the kernel
			// throws new events away, and says so once.
			lost = false
			handle(LinkEvent{Resync: true})
		case errors.Is(err, unix.ENOBUFS), n > len(buf):
			lost = true
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("watch links: %w", err)
		case from == 0: // others than the kernel can send, too
			lost = deliver(buf[:n], handle) != nil || lost
		}
	}
}

// receive reads one datagram and who sent it; it is longer than the buffer if it
// does not fit. If it need not wait it says EAGAIN where there is none.
func receive(conn syscall.RawConn, buf []byte, wait bool) (n int, from uint32, err error) {
	closed := conn.Read(func(fd uintptr) (done bool) {
		var sender unix.Sockaddr
		n, sender, err = unix.Recvfrom(int(fd), buf, unix.MSG_TRUNC)
		if s, ok := sender.(*unix.SockaddrNetlink); ok {
			from = s.Pid
		}
		return !wait || !errors.Is(err, unix.EAGAIN)
	})
	if closed != nil {
		return 0, 0, closed
	}
	return n, from, err
}

// deliver hands out the events of one datagram.
func deliver(datagram []byte, handle func(LinkEvent)) error {
	msgs, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		kind := m.Header.Type
		// Bridges tell of their ports, too, in a family of their own, in which a port
		// that leaves is a link deleted.
		if kind != unix.RTM_NEWLINK && kind != unix.RTM_DELLINK || len(m.Data) == 0 || m.Data[0] != unix.AF_UNSPEC {
			continue
		}
		link, err := netlink.LinkDeserialize(nil, m.Data)
		if err != nil {
			return err
		}
		handle(LinkEvent{Link: linkInfo(link, nil), Gone: kind == unix.RTM_DELLINK})
	}
	return nil
}
