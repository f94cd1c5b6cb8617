package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	sockDestroy = 21 // SOCK_DESTROY, linux/sock_diag.h
	diagRequest = 56 // bytes of struct inet_diag_req_v2
	diagIDStart = 8  // where its socket begins, which an answer has from diagIDFrom on
	diagIDFrom  = 4
	diagID      = 48
	diagState   = 1 // where an answer has the socket's state
	diagInode   = diagIDFrom + diagID + 16
	diagAnswer  = diagInode + 4 // bytes of struct inet_diag_msg
)

const tcpEstablished = 1 // TCP_ESTABLISHED, linux/tcp_states.h

// Socket is one of a namespace's sockets, as far as it matters to who ends it.
type Socket struct {
	Cookie  uint64
	Port    uint16 // its own
	Waiting bool   // a connection that no process has accepted yet
}

// DestroySockets ends the TCP or UDP sockets of the calling thread's network
// namespace that match, as if their peer had reset them (ECONNABORTED),
// and says how many there were. Kernels without CONFIG_INET_DIAG_DESTROY end none:
// the error wraps unix.EOPNOTSUPP.
func DestroySockets(protocol uint8, match func(Socket) bool) (int, error) {
	ended := 0
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		ids, err := socketIDs(family, protocol, match)
		if err != nil {
			return ended, fmt.Errorf("list sockets: %w", err)
		}
		for _, id := range ids {
			req := nl.NewNetlinkRequest(sockDestroy, unix.NLM_F_ACK)
			req.AddRawData(diagMessage(family, protocol, id))
			_, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
			if errors.Is(err, unix.ENOENT) {
				continue // it ended by itself
			}
			if err != nil {
				return ended, fmt.Errorf("end a socket: %w", err)
			}
			ended++
		}
	}
	return ended, nil
}

// socketIDs lists the matching sockets, as the kernel names them.
func socketIDs(family, protocol uint8, match func(Socket) bool) ([][]byte, error) {
	return dump(func() ([][]byte, error) {
		var ids [][]byte
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		req.AddRawData(diagMessage(family, protocol, nil))
		err := req.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(msg []byte) bool {
			if len(msg) < diagAnswer {
				return true
			}
			id := msg[diagIDFrom : diagIDFrom+diagID]
			if match(parseSocket(msg)) {
				ids = append(ids, append([]byte(nil), id...))
			}
			return true
		})
		return ids, err
	})
}

// parseSocket reads a struct inet_diag_msg.
func parseSocket(msg []byte) Socket {
	id := msg[diagIDFrom : diagIDFrom+diagID]
	return Socket{
		Cookie:  binary.NativeEndian.Uint64(id[diagID-8:]),
		Port:    binary.BigEndian.Uint16(id),
		Waiting: msg[diagState] == tcpEstablished && binary.NativeEndian.Uint32(msg[diagInode:]) == 0,
	}
}

// diagMessage is a struct inet_diag_req_v2 for one socket, or for all.
func diagMessage(family, protocol uint8, id []byte) []byte {
	msg := make([]byte, diagRequest)
	msg[0], msg[1] = family, protocol
	binary.NativeEndian.PutUint32(msg[4:], ^uint32(0)) // in any state
	copy(msg[diagIDStart:], id)
	return msg
}
