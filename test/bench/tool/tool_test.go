package tool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The test's binary is the tool, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "tool" {
		os.Exit(Main(os.Args[2:], os.Stdout))
	}
	os.Exit(m.Run())
}

func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 100000 {
		v := time.Duration(random.ExpFloat64() * 50000)
		all = append(all, v)
		h.add(v)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.99, 0.999} {
		want := all[int(q*float64(len(all)))]
		if got := h.quantile(q); (got - want).Abs() > want/900+1 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}

func TestBuckets(t *testing.T) {
	last := -1
	for _, ns := range []uint64{0, 1, 1023, 1024, 1025, 2047, 2048, 2050, 1 << 20, 1<<63 - 1} {
		b := bucketOf(ns)
		if b < last {
			t.Errorf("%d ns is in bucket %d, before %d", ns, b, last)
		}
		last = b
		if m := uint64(middleOf(b)); m > ns+ns/1000 || m < ns-ns/1000 {
			t.Errorf("%d ns stand as %d", ns, m)
		}
	}
	if bucketOf(1<<64-1) >= len(histogram{}.buckets) {
		t.Error("the longest time has no bucket")
	}
}

func TestUnknownMode(t *testing.T) {
	out, err := exec.Command(os.Args[0], "tool", "fly").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte(`no mode "fly"`)) {
		t.Errorf("%v: %s", err, out)
	}
}

// A real server and real clients on this machine's loopback, on a port that was free.
func TestClientsAndServer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(ln.Addr().String())
	ln.Close()
	counters := filepath.Join(t.TempDir(), "counters")
	server := exec.Command(os.Args[0], append([]string{"tool"}, Args{Mode: Serve, Addr: addr, CPU: -1, Counters: counters}.Words()...)...)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if s, err := ReadServed(counters); err == nil && s.Ready == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the server is not ready")
		}
	}
	for _, mode := range []string{RR, CRR, UDP} {
		before, err := ReadServed(counters)
		if err != nil {
			t.Fatal(err)
		}
		res := client(t, Args{Mode: mode, Addr: addr, CPU: 0, Time: 50 * time.Millisecond})
		// the server counts a byte only after the client may have it
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			after, err := ReadServed(counters)
			if err != nil {
				t.Fatal(err)
			}
			if err = balance(mode, res, before, after); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v\n%+v\n%+v\n%+v", mode, err, res, before, after)
			}
		}
	}
}

// balance holds what the client says against what the server has counted.
func balance(mode string, res Result, before, after Served) error {
	if res.Transactions == 0 || res.Time < 50*time.Millisecond {
		return fmt.Errorf("nothing was done")
	}
	if mode == UDP {
		got := after.Datagrams - before.Datagrams
		if got == 0 || got > res.Transactions || after.Datagram-before.Datagram != got*UDPPayload {
			return fmt.Errorf("datagrams: %d", got)
		}
		return nil
	}
	if after.Received-before.Received != res.Sent || after.Sent-before.Sent != res.Received {
		return fmt.Errorf("the ends disagree")
	}
	connections := uint64(1)
	if mode == CRR {
		connections = res.Transactions
	}
	if after.Connections-before.Connections != connections {
		return fmt.Errorf("%d connections, want %d", after.Connections-before.Connections, connections)
	}
	if res.P50 <= 0 || res.P50 > res.P99 || res.P99 > res.P999 {
		return fmt.Errorf("times out of order")
	}
	return nil
}

func client(t *testing.T, a Args) Result {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"tool"}, a.Words()...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", a.Mode, err)
	}
	var res Result
	if err := json.Unmarshal(out, &res); err != nil {
		t.Fatalf("%s: %v in %s", a.Mode, err, out)
	}
	return res
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(ln.Addr().String())
	ln.Close()
	words := Args{Mode: RR, Addr: addr, CPU: -1, Time: time.Second}.Words()
	out, err := exec.Command(os.Args[0], append([]string{"tool"}, words...)...).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("connection refused")) {
		t.Errorf("%v: %s", err, out)
	}
}
