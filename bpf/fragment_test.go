package bpf_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// pieces are the fragments of a packet, of size bytes each but for the last.
func (h *host) pieces(p packet, id uint16, size int) (out []packet) {
	h.t.Helper()
	p = h.wire(p)
	whole := p.l4(p.ends())
	for at := 0; at < len(whole); at += size {
		piece := packet{src: p.src, dst: p.dst, proto: p.proto, id: id, raw: true, fragment: uint16(at / 8)}
		if end := at + size; end < len(whole) {
			piece.payload, piece.fragment = string(whole[at:end]), piece.fragment|0x2000
		} else {
			piece.payload = string(whole[at:])
		}
		out = append(out, piece)
	}
	return out
}

func big(p packet) packet {
	p.payload = strings.Repeat("0123456789", 10)
	return p
}

// Every fragment takes the way of its first, also where only that has ports.
func TestFragments(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		client, server := outside+":40000", outside+":443"
		for i, s := range []step{
			{"published", ext, h.ext, udpPacket(client, hostIP+":8080"), redirect, udpPacket(client, addrA+":80"), 0},
			{"answer", ctr, h.ctrA, udpPacket(addrA+":80", client), redirect, udpPacket(hostIP+":8080", client), 0},
			{"masquerade", ctr, h.ctrA, udpPacket(addrA+":5000", server), redirect, udpPacket(hostIP+":5000", server), 0},
			{"its answer", ext, h.ext, udpPacket(server, hostIP+":5000"), redirect, udpPacket(server, addrA+":5000"), 0},
			{"echo", ctr, h.ctrA, echoPacket(addrA+":77", outside+":0"), redirect, echoPacket(hostIP+":77", outside+":0"), 0},
			{"TCP", ctr, h.ctrA, tcpPacket(addrA+":5000", server, syn), redirect, tcpPacket(hostIP+":5000", server, syn), 0},
			{"the host's own", ext, h.ext, udpPacket(client, hostIP+":9"), pass, packet{}, 0},
		} {
			in := h.pieces(big(s.in), uint16(i+1), 48)
			out := in
			if s.out.src != "" {
				out = h.pieces(big(s.out), uint16(i+1), 48)
			}
			for n := range in {
				s.in, s.out = in[n], out[n]
				if s.verdict == pass {
					s.out = packet{}
				}
				h.walk(s)
			}
		}
	})
}

// Whatever comes before the first fragment waits for it, and goes after it.
func TestFragmentsInAnyOrder(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		client := outside + ":40000"
		for i, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			again := h.listen("ext")
			in := h.pieces(big(udpPacket(client, hostIP+":8080")), uint16(i+1), 48)
			want := map[string]bool{}
			for _, p := range h.pieces(big(udpPacket(client, addrA+":80")), uint16(i+1), 48) {
				p.ttl = 63
				want[string(p.bytes()[14:])] = true
			}
			var queue [][]byte
			for _, n := range order {
				in[n].ethDst = h.ext.HardwareAddr
				queue = append(queue, in[n].bytes())
			}
			for len(queue) > 0 {
				verdict, out := h.runBytes(h.objs.EbnetFromExt, h.ext, queue[0])
				queue = queue[1:]
				if verdict == redirect {
					if !want[string(out[14:])] {
						t.Fatalf("order %v: packet %x", order, out)
					}
					delete(want, string(out[14:]))
				} else if verdict != shot {
					t.Fatalf("order %v: verdict %d", order, verdict)
				}
				queue = append(queue, again()...)
			}
			if len(want) > 0 {
				t.Errorf("order %v: %d fragments did not arrive", order, len(want))
			}
		}
		if drops := h.drops(); drops[datapath.DropFragment] != 0 {
			t.Errorf("drops %v", drops)
		}
	})
}

// A source that sends no first fragments fills its own places, and they become free again.
func TestHeldFragmentsAreBounded(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		later := func(source string, id uint16) packet {
			return h.pieces(big(udpPacket(source+":1", hostIP+":8080")), id, 48)[1]
		}
		send := func(source string, id uint16) int {
			verdict, _ := h.run(h.objs.EbnetFromExt, h.ext, later(source, id))
			return verdict
		}
		for id := range uint16(8) {
			if v := send(outside, id+1); v != shot {
				t.Fatalf("fragment %d: verdict %d, want it held", id, v)
			}
		}
		if v := send(outside, 9); v != pass {
			t.Errorf("a ninth is held for one source: verdict %d", v)
		}
		if v := send("192.0.2.200", 9); v != shot {
			t.Errorf("another source's is not held: verdict %d", v)
		}
		if n := h.drops()[datapath.DropFragment]; n != 0 {
			t.Errorf("%d drops before their time is up", n)
		}
		var place bpf.EbnetHeldFragment
		for i := range h.objs.Held.MaxEntries() {
			h.check(h.objs.Held.Lookup(i, &place))
			place.Seen -= 31
			h.check(h.objs.Held.Put(i, place))
		}
		if v := send(outside, 10); v != shot {
			t.Errorf("after two seconds no place is free: verdict %d", v)
		}
		if n := h.drops()[datapath.DropFragment]; n != 1 {
			t.Errorf("%d drops for a fragment whose first has never come", n)
		}
	})
}

// listen returns a function that reads what has come in by a device since.
func (h *host) listen(dev string) func() [][]byte {
	h.t.Helper()
	all := uint16(unix.ETH_P_ALL>>8 | unix.ETH_P_ALL<<8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK, int(all))
	h.check(err)
	h.t.Cleanup(func() { unix.Close(fd) })
	h.check(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: device(h.t, dev).Index}))
	return func() (frames [][]byte) {
		buf := make([]byte, 4096)
		for deadline := time.Now().Add(5 * time.Millisecond); ; {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if errors.Is(err, unix.EAGAIN) {
				if time.Now().After(deadline) {
					return frames
				}
				continue
			}
			h.check(err)
			if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype != unix.PACKET_OUTGOING && bytes.Contains(buf[:n], []byte("0123")) {
				frames = append(frames, bytes.Clone(buf[:n]))
			}
		}
	}
}
