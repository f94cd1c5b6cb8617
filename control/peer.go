package control

import (
	"context"
	"errors"
	"net"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
)

type peerKey struct{}

// withPeer remembers who is at the other end of a connection, as the kernel
// says it; for http.Server.ConnContext.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	peer, err := peerOf(socket)
	if err != nil {
		return ctx
	}
	return contextWithPeer(ctx, peer)
}

func contextWithPeer(ctx context.Context, peer *unix.Ucred) context.Context {
	return context.WithValue(ctx, peerKey{}, peer)
}

// peerOf asks the kernel which process connected, or listens, at the other end.
func peerOf(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return peer, errors.Join(err, failed)
}

// mayOwn refuses a request that binds a sandbox to the life of a process that
// is neither the one that asks nor at root's disposal.
func mayOwn(ctx context.Context, pid int) error {
	if pid == 0 {
		return nil
	}
	peer, ok := ctx.Value(peerKey{}).(*unix.Ucred)
	if ok && (peer.Uid == 0 || int(peer.Pid) == pid) {
		return nil
	}
	return api.Errorf(api.CodeUnprocessable, "bind sandbox to process %d: only root may name a process other than its own", pid)
}
