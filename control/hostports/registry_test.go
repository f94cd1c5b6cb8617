package hostports

import (
	"errors"
	"net/netip"
	"testing"
)

var (
	all4  = netip.MustParseAddr("0.0.0.0")
	all6  = netip.MustParseAddr("::")
	local = netip.MustParseAddr("127.0.0.1")
	lan   = netip.MustParseAddr("10.0.0.1")
)

func reserve(t *testing.T, r *Registry, owner, proto string, host netip.Addr, from, to uint16) {
	t.Helper()
	if err := r.Reserve(owner, proto, host, from, to); err != nil {
		t.Fatalf("reserve %d-%d/%s of %s for %s: %v", from, to, proto, host, owner, err)
	}
}

func TestReserveTwice(t *testing.T) {
	r := New()
	reserve(t, r, "web", "tcp", all4, 8000, 8010)
	reserve(t, r, "db", "tcp", local, 8005, 8005) // specific beside all
	reserve(t, r, "db", "udp", all4, 8005, 8005)
	reserve(t, r, "db", "tcp", all6, 8005, 8005)
	reserve(t, r, "db", "tcp", lan, 9000, 9000)
	reserve(t, r, "web", "tcp", all4, 9000, 9000) // and in the other order

	for _, tc := range []struct {
		host     netip.Addr
		from, to uint16
		port     uint16
		owner    string
	}{
		{all4, 7990, 8000, 8000, "web"},
		{all4, 8010, 8020, 8010, "web"},
		{local, 8000, 8010, 8005, "db"},
		{lan, 9000, 9000, 9000, "db"},
		{netip.MustParseAddr("::ffff:10.0.0.1"), 9000, 9000, 9000, "db"},
	} {
		err := r.Reserve("new", "tcp", tc.host, tc.from, tc.to)
		var taken *TakenError
		if !errors.Is(err, ErrTaken) || !errors.As(err, &taken) || taken.Owner != tc.owner || taken.Port != tc.port {
			t.Errorf("Reserve(%s, %d-%d) = %v, want port %d of %s", tc.host, tc.from, tc.to, err, tc.port, tc.owner)
		}
	}
	if n := r.Count(); n != 11+5 {
		t.Errorf("%d ports held, want %d: a conflict must leave nothing", n, 11+5)
	}
}

func TestRelease(t *testing.T) {
	r := New()
	reserve(t, r, "web", "tcp", all4, 65000, 65535)
	reserve(t, r, "db", "tcp", local, 65535, 65535)
	r.Release("tcp", all4, 65530, 65535)
	if owner, ok := r.Holder("tcp", all4, 65529); !ok || owner != "web" {
		t.Errorf("Holder of what was not released = %q, %t", owner, ok)
	}
	if owner, ok := r.Holder("tcp", all4, 65530); ok {
		t.Errorf("Holder of what was released = %q", owner)
	}
	reserve(t, r, "new", "tcp", all4, 65530, 65535)
	r.Release("tcp", all4, 1, 65535)
	r.Release("tcp", local, 1, 65535)
	r.Release("tcp", local, 1, 65535)
	if r.Count() != 0 || len(r.held) != 0 || len(r.count) != 0 {
		t.Errorf("released everything, kept %d ports: %v %v", r.Count(), r.held, r.count)
	}
}

func TestPublished(t *testing.T) {
	r := New()
	reserve(t, r, "web", "tcp", all4, 80, 80)
	reserve(t, r, "web", "tcp", lan, 81, 81)
	for _, tc := range []struct {
		proto string
		host  netip.Addr
		port  uint16
		want  bool
	}{
		{"tcp", all4, 80, false}, // itself
		{"tcp", lan, 80, true},
		{"tcp", all6, 80, true}, // who binds [::] may mean IPv4, too
		{"tcp", netip.IPv6Loopback(), 80, true},
		{"tcp", netip.IPv6Loopback(), 81, false},
		{"tcp", netip.MustParseAddr("2001:db8::1"), 80, false},
		{"udp", lan, 80, false},
		{"tcp", all4, 81, true},
		{"tcp", lan, 81, false}, // itself
		{"tcp", local, 81, false},
		{"tcp", all4, 82, false},
	} {
		if got := r.Published(tc.proto, tc.host, tc.port); got != tc.want {
			t.Errorf("Published(%s, %s, %d) = %t", tc.proto, tc.host, tc.port, got)
		}
	}
	r.Release("tcp", lan, 81, 81)
	if r.Published("tcp", all4, 81) {
		t.Error("published after its release")
	}
}

func TestBadPorts(t *testing.T) {
	r := New()
	for _, err := range []error{
		r.Reserve("web", "icmp", all4, 1, 1),
		r.Reserve("web", "tcp", netip.Addr{}, 1, 1),
		r.Reserve("web", "tcp", all4, 0, 1),
		r.Reserve("web", "tcp", all4, 2, 1),
		r.Reserve("web", "tcp", netip.MustParseAddr("fe80::1%eth0"), 1, 1),
		Probe("tcp", all4, 0, 0),
		func() error { _, err := r.Choose("web", "tcp", []netip.Addr{all4}, 0, nil); return err }(),
		func() error { _, err := r.Choose("web", "tcp", []netip.Addr{all4}, 65536, nil); return err }(),
		func() error { _, err := r.Choose("web", "tcp", []netip.Addr{{}}, 1, nil); return err }(),
	} {
		if !errors.Is(err, ErrBadPort) {
			t.Errorf("%v, want ErrBadPort", err)
		}
	}
}

func choose(t *testing.T, r *Registry, host netip.Addr, n int, probe func(from, to uint16) error) uint16 {
	t.Helper()
	from, err := r.Choose("web", "tcp", []netip.Addr{host}, n, probe)
	if err != nil {
		t.Fatal(err)
	}
	return from
}

func TestChoose(t *testing.T) {
	r := New(Range{100, 109}, Range{200, 201})
	reserve(t, r, "x", "tcp", all4, 101, 101)
	reserve(t, r, "x", "tcp", lan, 104, 104)
	reserve(t, r, "x", "udp", all4, 105, 105)
	reserve(t, r, "x", "tcp", all6, 106, 106)
	if got := choose(t, r, all4, 3, nil); got != 105 {
		t.Errorf("3 ports of all addresses from %d, want 105: 101 and 104 are published", got)
	}
	if got := choose(t, r, local, 1, nil); got != 100 {
		t.Errorf("a port of one address is %d, want 100", got)
	}
	if got := choose(t, r, local, 1, nil); got != 102 {
		t.Errorf("the next port of one address is %d, want 102, since 101 is published on all", got)
	}
	r.Release("tcp", local, 100, 102)
	if got := choose(t, r, local, 1, nil); got != 103 {
		t.Errorf("the next port is %d, want 103 and none just released", got)
	}
	if got := choose(t, r, all4, 2, nil); got != 108 {
		t.Errorf("2 ports from %d, want 108, behind the last", got)
	}
	if got := choose(t, r, all4, 1, nil); got != 100 {
		t.Errorf("a port is %d, want 100: the search begins anew at the end", got)
	}
	if got := choose(t, r, all4, 2, nil); got != 200 {
		t.Errorf("2 ports from %d, want 200, in the second range", got)
	}
	if got, err := r.Choose("web", "tcp", []netip.Addr{all4}, 2, nil); !errors.Is(err, ErrNoPort) {
		t.Errorf("Choose with nothing left = %d, %v, want ErrNoPort", got, err)
	}
}

func TestChooseToTheLastPort(t *testing.T) {
	r := New()
	if got := choose(t, r, all4, 65535-49153+1, nil); got != 49153 {
		t.Errorf("all ports from %d", got)
	}
	if got, err := r.Choose("web", "tcp", []netip.Addr{all4}, 1, nil); !errors.Is(err, ErrNoPort) {
		t.Errorf("one more = %d, %v", got, err)
	}
	r.Release("tcp", all4, 65535, 65535)
	if got := choose(t, r, all4, 1, nil); got != 65535 {
		t.Errorf("the only one left is %d", got)
	}
}

func TestChooseAsksProbe(t *testing.T) {
	busy := map[uint16]bool{102: true, 105: true}
	probe := func(from, to uint16) error {
		for p := from; p <= to; p++ {
			if busy[p] {
				return &InUseError{Proto: "tcp", Addr: all4, Port: p}
			}
		}
		return nil
	}
	r := New(Range{100, 109})
	if got := choose(t, r, all4, 3, probe); got != 106 {
		t.Errorf("3 ports from %d, want 106", got)
	}
	if got := choose(t, r, all4, 2, probe); got != 100 {
		t.Errorf("2 ports from %d, want 100", got)
	}
	broken := errors.New("broken")
	if _, err := r.Choose("web", "tcp", []netip.Addr{all4}, 1, func(_, _ uint16) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Choose with a broken probe = %v", err)
	}
	if r.Count() != 5 {
		t.Errorf("%d ports held, want 5", r.Count())
	}
}

func TestParseRange(t *testing.T) {
	if got, err := ParseRange("32768\t60999\n"); err != nil || got != (Range{32768, 60999}) {
		t.Errorf("ParseRange = %v, %v", got, err)
	}
	for _, bad := range []string{"", "1", "0 5", "5 1", "1 65536", "-1 5", "a b", "1 2 3"} {
		if got, err := ParseRange(bad); !errors.Is(err, ErrBadPort) {
			t.Errorf("ParseRange(%q) = %v, %v, want ErrBadPort", bad, got, err)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("32768 60999")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := ParseRange(s); err == nil && (got.From == 0 || got.From > got.To) {
			t.Errorf("ParseRange(%q) = %v", s, got)
		}
	})
}
