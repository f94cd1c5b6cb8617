package bpf_test

import (
	"bytes"
	"errors"
	"net"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/bpf"
)

// modelHook is the program that has what comes from a place, and where that comes in.
type modelHook struct {
	prog    *ebpf.Program
	dev     *net.Interface
	ingress int // the device by which the host got it; 0: it made it itself
}

// runHook gives a frame to a hook's program.
func (h *host) runHook(hook modelHook, in []byte) (verdict int, out []byte) {
	h.t.Helper()
	ctx := skbContext{Ifindex: uint32(hook.dev.Index), IngressIfindex: uint32(hook.ingress)}
	opts := ebpf.RunOptions{Data: in, DataOut: make([]byte, len(in)+64), Context: &ctx}
	ret, err := hook.prog.Run(&opts)
	if err != nil {
		h.t.Fatalf("%x: %v", in, err)
	}
	return int(int32(ret)), opts.DataOut
}

// forgetHeld ends the time of the fragments that wait for their first.
func (h *host) forgetHeld() {
	h.t.Helper()
	for i := range h.objs.Held.MaxEntries() {
		h.check(h.objs.Held.Put(i, bpf.EbnetHeldFragment{}))
	}
}

// sniff opens a socket that sees what comes in by any device.
func (h *host) sniff() int {
	h.t.Helper()
	all := uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, int(all))
	h.check(err)
	h.t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// sniffed reads that many frames of those that tests make, or fewer where no more come.
func (h *host) sniffed(fd, n int) (frames [][]byte) {
	h.t.Helper()
	buf := make([]byte, 4096)
	for deadline := time.Now().Add(time.Second); len(frames) < n && time.Now().Before(deadline); {
		size, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EAGAIN) {
			continue
		}
		h.check(err)
		l, ok := from.(*unix.SockaddrLinklayer)
		if ok && l.Pkttype != unix.PACKET_OUTGOING && bytes.Equal(buf[6:12], []byte{2, 0, 0, 0, 0, 9}) {
			frames = append(frames, bytes.Clone(buf[:size]))
		}
	}
	return frames
}
