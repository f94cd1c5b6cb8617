package netdev

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func wantSignal(t *testing.T, changed <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, open := <-changed:
		if !open {
			t.Fatalf("%s: channel is closed", what)
		}
	case <-time.After(patience):
		t.Fatalf("%s: no signal", what)
	}
}

// changes are what makes an event, one a group.
func changes(t *testing.T) map[string]func() {
	return map[string]func(){
		"link":    func() { runIP(t, threadNetns, "link set br0 alias changed") },
		"address": func() { runIP(t, threadNetns, "addr add 172.30.1.1/32 dev br0") },
		"route":   func() { runIP(t, threadNetns, "route add blackhole 10.0.0.0/8") },
		"route6":  func() { runIP(t, threadNetns, "route add blackhole fd00:99::/64") },
	}
}

func TestWatch(t *testing.T) {
	newHost(t)
	newBridge(t)
	for name, change := range changes(t) {
		ctx, cancel := context.WithCancel(t.Context())
		changed, err := Watch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		change()
		wantSignal(t, changed, name)
		cancel()
		eventually(t, "channel closes", func() bool {
			select {
			case _, open := <-changed:
				return !open
			default:
				return false
			}
		})
	}
}

// Events beyond the socket's buffer are lost; that must be a signal, and not the last.
func TestWatchSurvivesOverrun(t *testing.T) {
	newHost(t)
	newBridge(t)
	events, err := subscribe(1) // the kernel makes it its smallest
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	for range 100 {
		runChange(t)
	}
	reader := &overrunReader{File: events}
	changed := make(chan struct{}, 1)
	go signal(reader, changed)
	wantSignal(t, changed, "overrun")
	eventually(t, "overrun", reader.seen.Load)
	// The reader may be behind with the rest, but a change that comes now is seen.
	eventually(t, "signal after the overrun", func() bool {
		runChange(t)
		select {
		case _, open := <-changed:
			if !open {
				t.Fatal("channel is closed")
			}
			return true
		case <-time.After(time.Millisecond):
			return false
		}
	})
}

// overrunReader notes that the socket lost events.
type overrunReader struct {
	*os.File
	seen atomic.Bool
}

func (r *overrunReader) Read(buf []byte) (int, error) {
	n, err := r.File.Read(buf)
	if errors.Is(err, unix.ENOBUFS) {
		r.seen.Store(true)
	}
	return n, err
}

// runChange makes two events.
func runChange(t *testing.T) {
	t.Helper()
	h, err := newHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	br0, err := linkByName(h, "br0")
	if err != nil {
		t.Fatal(err)
	}
	for _, alias := range []string{"one", "two"} {
		if err := h.LinkSetAlias(br0, alias); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever repairs on each signal would run for ever if repairing what is whole
// made an event.
func TestEnsureWhatIsThereMakesNoEvent(t *testing.T) {
	newHost(t)
	// Without link-local addresses there is no duplicate detection that ends later.
	if err := WriteSysctl("net.ipv6.conf.default.addr_gen_mode", "1"); err != nil {
		t.Fatal(err)
	}
	ensure := func() {
		newBridge(t)
		if _, err := EnsureFIBLink("fib"); err != nil {
			t.Fatal(err)
		}
	}
	ensure()
	v := newVeth(2, newSandbox(t, "web"))
	v.Table, v.Isolated = 1000, true
	newAttached(t, v)
	for _, name := range []string{"br0", "fib", "fibp", v.Host} {
		awaitUp(t, name)
	}

	outside, err := subscribe(watchBuffer)
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	inside := subscribeIn(t, v.Netns)

	ensure()
	if err := v.Up(); err != nil {
		t.Fatal(err)
	}
	runIP(t, threadNetns, "addr add 127.0.0.77/32 dev lo")
	runIP(t, v.Netns, "addr add 127.0.0.77/32 dev lo")
	wantMarkerFirst(t, outside, "host")
	wantMarkerFirst(t, inside, "sandbox")
}

// awaitUp returns when the kernel has told everybody of a link's carrier.
func awaitUp(t *testing.T, name string) {
	t.Helper()
	h, err := newHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	link, err := linkByName(h, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := awaitCarrier(h, link.Attrs().Index); err != nil {
		t.Fatal(err)
	}
}

// wantMarkerFirst reads the first event, which has to be lo's new address.
func wantMarkerFirst(t *testing.T, events *os.File, where string) {
	t.Helper()
	if err := events.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	n, err := events.Read(buf)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	msgs, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil || len(msgs) == 0 {
		t.Fatalf("%s: %d messages, %v", where, len(msgs), err)
	}
	first := msgs[0]
	if first.Header.Type != unix.RTM_NEWADDR || binary.NativeEndian.Uint32(first.Data[4:]) != 1 {
		t.Errorf("%s: an event of type %d came before: %x", where, first.Header.Type, first.Data)
	}
}

func TestDumpReadsAgain(t *testing.T) {
	reads := 0
	got, err := dump(func() (int, error) {
		reads++
		switch reads {
		case 1:
			return 1, netlink.ErrDumpInterrupted
		case 2:
			return 2, unix.EINTR
		}
		return reads, nil
	})
	if got != 3 || err != nil {
		t.Errorf("dump = %d, %v; want the third read", got, err)
	}
	failure := errors.New("failure")
	if _, err := dump(func() (int, error) { return 0, failure }); err != failure {
		t.Errorf("dump = %v, want its reader's error", err)
	}
	if _, err := dump(func() (int, error) { return 0, nl.ErrDumpInterrupted }); !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Errorf("dump that is always interrupted = %v", err)
	}
}

func TestRoutes(t *testing.T) {
	newHost(t)
	newBridge(t)
	for _, route := range []string{
		"default via 172.30.0.9", "0.0.0.0/1 via 172.30.0.9", "128.0.0.0/1 via 172.30.0.9",
		"10.1.0.0/16 via 172.30.0.9", "10.2.0.0/16 via 172.30.0.9 table 77", "blackhole 10.3.0.0/16",
		"10.4.0.0/16 nexthop via 172.30.0.9 nexthop via 172.30.0.8",
		"fd00:77::/64 dev br0", "2000::/3 dev br0",
	} {
		runIP(t, threadNetns, "route add "+route)
	}
	routes, err := Routes()
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, r := range Destinations(routes) {
		have[r.String()] = true
	}
	for _, want := range []string{"10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "172.30.0.0/24", "172.30.0.1/32", "fd00:77::/64"} {
		if !have[want] {
			t.Errorf("%s is missing in %v", want, routes)
		}
	}
	for _, not := range []string{"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "2000::/3", "ff00::/8", "172.30.0.255/32"} {
		if have[not] {
			t.Errorf("%s is in %v", not, routes)
		}
	}
	if again := slices.Compact(slices.Clone(routes)); len(again) != len(routes) {
		t.Errorf("some are there twice: %v", routes)
	}
	br0 := linkIn(t, threadNetns, "br0").Index
	for _, want := range []Route{
		{Dst: netip.MustParsePrefix("10.1.0.0/16"), Device: br0, Gateway: netip.MustParseAddr("172.30.0.9"), Main: true},
		{Dst: netip.MustParsePrefix("10.2.0.0/16"), Device: br0, Gateway: netip.MustParseAddr("172.30.0.9")},
		{Dst: netip.MustParsePrefix("10.3.0.0/16"), Main: true},
		{Dst: netip.MustParsePrefix("10.4.0.0/16"), Device: br0, Gateway: netip.MustParseAddr("172.30.0.8"), Main: true},
		{Dst: netip.MustParsePrefix("10.4.0.0/16"), Device: br0, Gateway: netip.MustParseAddr("172.30.0.9"), Main: true},
		{Dst: netip.MustParsePrefix("172.30.0.0/24"), Device: br0, Main: true},
		{Dst: netip.MustParsePrefix("172.30.0.1/32"), Device: br0, Local: true},
		{Dst: netip.MustParsePrefix("fd00:77::/64"), Device: br0, Main: true},
	} {
		if !slices.Contains(routes, want) {
			t.Errorf("%+v is missing in %+v", want, routes)
		}
	}
}
