package bpf_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ebnet/ebnet/datapath"
)

// modelPackets is how many packets each family gets.
const modelPackets = 50000

// The programs and the model get the same random packets, and do the same with each.
// EBNET_MODEL_SEED draws others, EBNET_MODEL_PACKETS more of them; which ports the programs
// choose at random is not in the seed.
func TestModel(t *testing.T) {
	seed, packets := modelNumber(t, "EBNET_MODEL_SEED", 1), modelNumber(t, "EBNET_MODEL_PACKETS", modelPackets)
	overFamilies(t, func(t *testing.T, h *host) {
		r := newModelRun(h, seed)
		t.Logf("EBNET_MODEL_SEED=%d", seed)
		for r.sent < packets {
			r.changeWorld()
			r.send(r.draw.next())
			if r.sent%1000 == 0 {
				r.compareTables()
			}
		}
		r.compareTables()
		r.wantAllWays()
	})
}

func modelNumber(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// modelRun compares programs and model packet by packet.
type modelRun struct {
	h       *host
	m       *model
	hooks   map[string]modelHook
	draw    *modelDraw
	seed    uint64
	sent    uint64
	recent  []string // what was done with the last packets
	ways    map[string]int
	fib     net.HardwareAddr // of the device by which the kernel gets packets
	sniffer int              // a socket that sees what is handed in again
	calm    time.Time        // when no datagram was in pieces
}

func newModelRun(h *host, seed uint64) *modelRun {
	h.t.Helper()
	m, hooks := h.world()
	r := &modelRun{h: h, m: m, hooks: hooks, seed: seed, ways: map[string]int{}, calm: time.Now()}
	r.draw = &modelDraw{Rand: rand.New(rand.NewPCG(seed, 0)), m: m}
	r.fib, r.sniffer = device(h.t, "fib").HardwareAddr, h.sniff()
	return r
}

// send gives a packet to the program and to the model.
func (r *modelRun) send(s modelSent) {
	r.h.t.Helper()
	r.sent++
	hook := r.hooks[s.from]
	in := r.m.frame(s.modelPacket)
	copy(in, hook.dev.HardwareAddr)
	verdict, got := r.h.runHook(hook, in)
	r.m.pick = func(p modelPacket) uint16 { return r.chosen(p, in, got) }
	o := r.m.cross(s.from, s.modelPacket)
	r.note(s, o)
	if diff := r.compare(o, hook, in, verdict, got); diff != "" {
		r.fail(diff, in, got)
	}
	r.handIn(s.from, o.again)
}

// handIn sends again what the program has handed in, the first fragment before the others.
func (r *modelRun) handIn(from string, again []modelPacket) {
	r.h.t.Helper()
	if len(again) == 0 {
		return
	}
	var want [][]byte
	for _, p := range again {
		f := r.m.frame(p)
		copy(f, r.hooks[from].dev.HardwareAddr)
		want = append(want, f)
	}
	got := r.h.sniffed(r.sniffer, len(want))
	same := func(a, b []byte) bool { return bytes.Equal(a[14:], b[14:]) }
	if len(got) != len(want) || !same(got[0], want[0]) {
		r.fail(fmt.Sprintf("handed in again: %x, want %x", got, want), nil, nil)
	}
	for i, f := range got {
		n := slices.IndexFunc(want, func(w []byte) bool { return w != nil && same(w, f) })
		if n < 0 {
			r.fail(fmt.Sprintf("handed in again: packet %d %x, want %x", i, f, want), nil, nil)
		}
		want[n] = nil
		r.ways["handed in again"]++
		r.send(modelSent{from, see(again[n].packet, again[n].cut, again[n].nth)})
	}
}

// changeWorld publishes and unpublishes, and now and then ends every flow.
func (r *modelRun) changeWorld() {
	r.h.t.Helper()
	d := r.draw
	switch {
	case d.one(3000):
		_, err := r.h.dp.EndAllFlows()
		r.h.check(err)
		r.m.endAll()
	case d.one(40):
		r.publishOrNot()
	}
	if len(d.pending) == 0 && len(r.m.waiting) == 0 {
		r.calm = time.Now()
	}
	// the programs forget fragments after two seconds, and hold eight of a source
	if len(r.m.waiting) > 6 || time.Since(r.calm) > time.Second {
		r.h.forgetHeld()
		r.m.waiting, d.pending, r.calm = nil, nil, time.Now()
	}
}

// publishOrNot publishes a port, or ends its publish if it is.
func (r *modelRun) publishOrNot() {
	r.h.t.Helper()
	d := r.draw
	at := modelAny(draw(d, []uint16{8080, 8081, 53, 5000, 700, 61000}), draw(d, []uint8{tcp, udp}))
	if d.one(2) {
		at.AddrPort = netip.AddrPortFrom(ip(draw(d, []string{hostIP, hostIP2, gateway})), at.Port())
	}
	if old := r.m.publishes[at]; old != nil {
		r.h.check(r.h.dp.Unpublish(old.written))
		r.m.unpublish(old)
		return
	}
	pub := &modelPublish{at: at}
	p := datapath.Publish{
		Proto: datapath.Proto(at.proto), Host: r.h.at(at.Addr().String()), HostPort: at.Port(), HostPortEnd: at.Port(),
		Port: draw(d, []uint16{80, 53, 443}),
	}
	if !d.one(10) {
		to := draw(d, []string{addrA, addrA, addrB, addrB, addrC, addrD})
		pub.target = netip.AddrPortFrom(ip(to), p.Port)
		p.Target = r.h.at(to)
	}
	var err error
	pub.written, err = r.h.dp.Publish(p, nil)
	r.h.check(err)
	r.m.publishes[at] = pub
}

func modelAny(port uint16, proto uint8) modelPort {
	return modelPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port), proto}
}
