package bpf_test

import (
	"net"
	"reflect"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/ebnet/ebnet/bpf"
	"github.com/ebnet/ebnet/datapath"
)

// What an established packet may cost, whatever the machine's speed: counted by running
// a copy of the program with a counter in each basic block. Raising a budget is a decision
// that a commit names; lower it when the code gets better.
var pathBudgets = []struct {
	name   string
	insns  int // as clang compiled them, not as the kernel's version expands them
	calls  int // of helpers
	hashes int // look-ups in hash tables
	all    int // look-ups in any map
}{
	{"published, in", 510, 10, 1, 5},
	{"published, answer", 596, 13, 1, 7},
	{"masquerade, out", 531, 11, 1, 6},
	{"masquerade, answer", 438, 8, 1, 4},
	{"container to container", 269, 8, 2, 7},
	{"published, in, UDP", 500, 10, 1, 5},
}

// How large programs may be: compiled instructions, of all functions, and those that the
// verifier walks (with room, as kernels differ; the kernel's limit is a million).
var programBudgets = map[string]struct{ insns, verified int }{
	"ebnet_bind4":    {63, 96},
	"ebnet_bind6":    {123, 337},
	"ebnet_connect4": {253, 2000},
	"ebnet_connect6": {277, 2000},
	"ebnet_from_br":  {652, 6175},
	"ebnet_from_ctr": {9098, 146558},
	"ebnet_from_ext": {7124, 103888},
	"ebnet_getpeer4": {32, 44},
	"ebnet_getpeer6": {45, 61},
	"ebnet_recvmsg4": {32, 44},
	"ebnet_recvmsg6": {45, 61},
	"ebnet_sendmsg4": {253, 2000},
	"ebnet_sendmsg6": {296, 2300},
	"ebnet_sweep":    {465, 10000},
	"ebnet_to_br":    {646, 6007},
	"ebnet_to_ext":   {7375, 88768},
}

// Bytes that each entry of these costs, and that each look-up hashes.
func TestFlowSizes(t *testing.T) {
	for _, row := range []struct {
		what           string
		size, budgeted uintptr
	}{
		{"flow key", unsafe.Sizeof(bpf.EbnetTuple{}), 40},
		{"flow value", unsafe.Sizeof(bpf.EbnetFlow{}), 96},
	} {
		if row.size > row.budgeted {
			t.Errorf("%s has %d bytes, its budget is %d", row.what, row.size, row.budgeted)
		}
	}
}

func TestProgramBudgets(t *testing.T) {
	needRoot(t)
	spec, err := bpf.LoadEbnet()
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	loaded := programsOf(&h.objs.EbnetPrograms)
	for name, p := range spec.Programs {
		info, err := loaded[name].Info()
		if err != nil {
			t.Fatal(err)
		}
		verified, _ := info.VerifiedInstructions()
		budget, ok := programBudgets[name]
		if !ok || len(p.Instructions) > budget.insns || int(verified) > budget.verified {
			t.Errorf("%q: {%d, %d}, its budget is %v", name, len(p.Instructions), verified, budget)
		}
	}
}

// programsOf are the programs by the names in the object file.
func programsOf(programs *bpf.EbnetPrograms) map[string]*ebpf.Program {
	out := map[string]*ebpf.Program{}
	all := reflect.ValueOf(programs).Elem()
	for i := range all.NumField() {
		out[all.Type().Field(i).Tag.Get("ebpf")] = all.Field(i).Interface().(*ebpf.Program)
	}
	return out
}

// counting is a host with copies of its programs that count, on the same maps.
type counting struct {
	*host
	counted map[*ebpf.Program]*counted
	fromCtr *ebpf.Program
	fromExt *ebpf.Program
}

func newCounting(t *testing.T) *counting {
	t.Helper()
	c := &counting{host: newHost(t), counted: map[*ebpf.Program]*counted{}}
	spec, err := bpf.LoadEbnet()
	c.check(err)
	same := map[string]*ebpf.Map{}
	all := reflect.ValueOf(&c.objs.EbnetMaps).Elem()
	for i := range all.NumField() {
		same[all.Type().Field(i).Tag.Get("ebpf")] = all.Field(i).Interface().(*ebpf.Map)
	}
	var copies struct {
		Ctr *ebpf.Program `ebpf:"ebnet_from_ctr"`
		Ext *ebpf.Program `ebpf:"ebnet_from_ext"`
	}
	count := map[string]*counted{}
	for _, name := range []string{"ebnet_from_ctr", "ebnet_from_ext"} {
		count[name], err = instrument(spec.Programs[name])
		c.check(err)
		t.Cleanup(func() { count[name].counts.Close() })
	}
	if err := spec.LoadAndAssign(&copies, &ebpf.CollectionOptions{MapReplacements: same}); err != nil {
		t.Fatalf("%+v", err)
	}
	c.fromCtr, c.fromExt = copies.Ctr, copies.Ext
	c.counted[c.fromCtr], c.counted[c.fromExt] = count["ebnet_from_ctr"], count["ebnet_from_ext"]
	t.Cleanup(func() {
		c.fromCtr.Close()
		c.fromExt.Close()
	})
	return c
}

// cost is what a packet takes that is redirected. A tick of the clock and a link header
// that has to be renewed cost more now and then: the cheapest of a few counts.
func (c *counting) cost(prog *ebpf.Program, dev *net.Interface, p packet) cost {
	c.t.Helper()
	var least cost
	for i := range 8 {
		_, err := c.counted[prog].take()
		c.check(err)
		if verdict, _ := c.run(prog, dev, p); verdict != redirect {
			c.t.Fatalf("packet from %s to %s: verdict %d", p.src, p.dst, verdict)
		}
		now, err := c.counted[prog].take()
		c.check(err)
		if i == 0 || now.insns < least.insns {
			least = now
		}
	}
	return least
}

func TestPathBudgets(t *testing.T) {
	c := newCounting(t)
	c.publish(datapath.TCP, "0.0.0.0", 8080, addrA, 80)
	c.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
	client, published, server := outside+":40000", hostIP+":8080", outside+":443"
	web, own, seen := addrA+":80", addrA+":5000", hostIP+":5000"
	ext, ctr := c.objs.EbnetFromExt, c.objs.EbnetFromCtr
	c.walk(
		step{"SYN", ext, c.ext, tcpPacket(client, published, syn), redirect, tcpPacket(client, web, 0), 0},
		step{"SYN-ACK", ctr, c.ctrA, tcpPacket(web, client, syn|ack), redirect, tcpPacket(published, client, 0), 0},
		step{"ACK", ext, c.ext, tcpPacket(client, published, ack), redirect, tcpPacket(client, web, 0), 0},
		step{"UDP", ext, c.ext, udpPacket(client, published), redirect, udpPacket(client, web), 0},
		step{"UDP answer", ctr, c.ctrA, udpPacket(web, client), redirect, udpPacket(published, client), 0},
		step{"UDP again", ext, c.ext, udpPacket(client, published), redirect, udpPacket(client, web), 0},
	)
	c.establish(own, seen, server)
	costs := map[string]cost{
		"published, in":          c.cost(c.fromExt, c.ext, tcpPacket(client, published, ack)),
		"published, answer":      c.cost(c.fromCtr, c.ctrA, tcpPacket(web, client, ack)),
		"masquerade, out":        c.cost(c.fromCtr, c.ctrA, tcpPacket(own, server, ack)),
		"masquerade, answer":     c.cost(c.fromExt, c.ext, tcpPacket(server, seen, ack)),
		"container to container": c.cost(c.fromCtr, c.ctrA, tcpPacket(own, addrB+":80", ack)),
		"published, in, UDP":     c.cost(c.fromExt, c.ext, udpPacket(client, published)),
	}
	spec, err := bpf.LoadEbnet()
	c.check(err)
	for _, b := range pathBudgets {
		got, ok := costs[b.name]
		if !ok {
			t.Errorf("%s is not measured", b.name)
			continue
		}
		hashes, all := 0, 0
		for name, n := range got.lookups {
			all += n
			if m := spec.Maps[name]; m == nil {
				t.Errorf("%s: a look-up in %q", b.name, name)
			} else if m.Type != ebpf.Array && m.Type != ebpf.PerCPUArray {
				hashes += n
			}
		}
		t.Logf("%s: %v", b.name, got)
		if got.insns > b.insns || got.calls > b.calls || hashes > b.hashes || all > b.all {
			t.Errorf("%q: {%d, %d, %d, %d}, its budget is %+v", b.name, got.insns, got.calls, hashes, all, b)
		}
	}
}

// The counting copy counts what runs: a loop of five rounds, and a helper in each.
func TestCountingCopy(t *testing.T) {
	needRoot(t)
	again := asm.JNE.Imm(asm.R6, 0, "")
	again.Offset = -4
	spec := &ebpf.ProgramSpec{Name: "loop", Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R6, 5).WithSymbol("loop"),
		asm.FnGetPrandomU32.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Sub.Imm(asm.R6, 1),
		again,
		asm.Return(),
	}}
	c, err := instrument(spec)
	if err != nil {
		t.Fatal(err)
	}
	defer c.counts.Close()
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	defer prog.Close()
	for range 2 { // the second counts from nothing, too
		if _, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil {
			t.Fatal(err)
		}
		got, err := c.take()
		if err != nil {
			t.Fatal(err)
		}
		if got.insns != 1+5*4+1 || got.calls != 5 {
			t.Errorf("%v, want 22 instructions and 5 calls", got)
		}
	}
}
