package run

import (
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
)

// testRuns is how often a packet is given to a program. One at a time: a second run of
// the same would see the packet as the first has left it, translated.
const testRuns = 20000

// TestRuns measures what ebnet's programs take for an established packet in the kernel's
// test-run, less what an empty program takes there.
func TestRuns(w *systems.World, length time.Duration) (all []Cost, err error) {
	e := w.System.(*systems.Ebnet)
	f := Figure{ID: "published.rr", Direction: systems.Published, Mode: tool.RR}
	if _, _, err := Measure(w, f, length); err != nil { // leaves a flow
		return nil, err
	}
	table, err := ebpf.LoadPinnedMap(filepath.Join(e.Agent.Pins(), "v1", "maps", "flows"), nil)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	pattern, err := findPattern(table)
	if err != nil {
		return nil, err
	}
	c2c := pattern.keys[0]
	var veths map[string]string
	if err := w.Do(func() {
		a, b := e.Agent.Sandbox("a"), e.Agent.Sandbox("b")
		c2c.Src, c2c.Dst = mapped(c2c.Src, a.Addr.As4()), mapped(c2c.Src, b.Addr.As4())
		veths = map[string]string{}
		for _, name := range []string{"web", "a"} {
			veths[name] = e.Agent.Sandbox(name).Info.Endpoints[0].HostInterface
		}
	}); err != nil {
		return nil, err
	}
	route, _ := w.Route(systems.Published)
	fatal := w.Do(func() {
		route.Host.Do(func() error {
			all, err = testRunsOf(w, []testRun{
				{"published, in", "ebnet_from_ext", "eth0", pattern.keys[0]},
				{"published, answer", "ebnet_from_ctr", veths["web"], pattern.keys[1]},
				{"container to container", "ebnet_from_ctr", veths["a"], c2c},
			})
			return nil
		})
	})
	if fatal != nil {
		err = fatal
	}
	return all, err
}

// mapped is an IPv4 address in the form of another.
func mapped(like bpf.EbnetAddr, v4 [4]byte) bpf.EbnetAddr {
	like.W[3] = binary.NativeEndian.Uint32(v4[:])
	return like
}

// testRun is a packet for a program, as if it came to a device.
type testRun struct {
	what, program, device string
	packet                bpf.EbnetTuple
}

// testRunsOf runs in the host's namespace, which the devices are looked up in.
func testRunsOf(w *systems.World, runs []testRun) ([]Cost, error) {
	empty, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "empty", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return nil, err
	}
	defer empty.Close()
	programs := map[string]*ebpf.Program{}
	for _, id := range w.System.(systems.Programmed).Programs() {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			return nil, fmt.Errorf("open program %d: %w", id, err)
		}
		defer p.Close()
		info, err := p.Info()
		if err != nil {
			return nil, err
		}
		programs[info.Name] = p
	}
	var all []Cost
	for _, r := range runs {
		each, err := r.each(programs[r.program])
		if err != nil {
			return all, fmt.Errorf("test-run of %s: %w", r.program, err)
		}
		nothing, err := r.each(empty)
		if err != nil {
			return all, fmt.Errorf("test-run of an empty program: %w", err)
		}
		all = append(all, Cost{
			System: w.Name(), Figure: "test-run: " + r.what, Program: r.program,
			Runs: testRuns, Each: each - nothing,
		})
	}
	return all, nil
}

// each is how long one run takes, on average. A program that does not redirect the
// packet has not done what is measured.
func (r testRun) each(p *ebpf.Program) (time.Duration, error) {
	dev, err := net.InterfaceByName(r.device)
	if err != nil {
		return 0, err
	}
	ctx := skb{ifindex: uint32(dev.Index)}
	packet := r.bytes(dev.HardwareAddr)
	var sum time.Duration
	var last uint32
	for range testRuns {
		var one time.Duration
		last, one, err = runOnce(p, packet, &ctx)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	const redirect, pass = 7, 0xffffffff
	if last != redirect && last != pass {
		return 0, fmt.Errorf("verdict %d for a packet of %s", last, r.what)
	}
	return sum / testRuns, nil
}

// skb is the kernel's struct __sk_buff, as far as a test-run is told it.
type skb struct {
	_       [10]uint32
	ifindex uint32
	_       [192 - 44]byte
}

// runOnce runs a program on a copy of the packet, and returns how long the kernel says
// that it took. The library does not hand that on together with a context.
func runOnce(p *ebpf.Program, packet []byte, ctx *skb) (verdict uint32, took time.Duration, err error) {
	var pinned runtime.Pinner
	pinned.Pin(&packet[0])
	pinned.Pin(ctx)
	defer pinned.Unpin()
	attr := struct {
		program, verdict  uint32
		dataIn, dataOut   uint32 // lengths
		in, out           uint64
		repeat, nanos     uint32
		ctxIn, ctxOut     uint32 // lengths
		context, contexts uint64
		_                 [4]uint32
	}{
		program: uint32(p.FD()), dataIn: uint32(len(packet)), in: uint64(uintptr(unsafe.Pointer(&packet[0]))),
		repeat: 1, ctxIn: uint32(unsafe.Sizeof(*ctx)), context: uint64(uintptr(unsafe.Pointer(ctx))),
	}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return 0, 0, errno
	}
	return attr.verdict, time.Duration(attr.nanos), nil
}

// bytes is the packet: TCP, an acknowledgement with one byte. Its sums are not looked at.
func (r testRun) bytes(to net.HardwareAddr) []byte {
	b := make([]byte, 14+20+20+1)
	copy(b, to)
	b[6] = 2 // a local address
	binary.BigEndian.PutUint16(b[12:], 0x0800)
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.NativeEndian.PutUint32(ip[12:], r.packet.Src.W[3])
	binary.NativeEndian.PutUint32(ip[16:], r.packet.Dst.W[3])
	tcp := ip[20:]
	binary.NativeEndian.PutUint16(tcp, r.packet.Sport)
	binary.NativeEndian.PutUint16(tcp[2:], r.packet.Dport)
	tcp[12], tcp[13] = 5<<4, 0x10 // ACK
	return b
}
