package ipam

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

func newAllocator(t *testing.T, c Config) *Allocator {
	t.Helper()
	a, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// drain takes all there is.
func drain(t *testing.T, a *Allocator) []string {
	t.Helper()
	got := []string{}
	for {
		addr, err := a.Allocate()
		if errors.Is(err, ErrFull) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, addr.String())
	}
}

func TestSmallSubnets(t *testing.T) {
	for _, tc := range []struct {
		subnet, gateway, rng string
		want                 []string
	}{
		{"10.0.0.0/31", "", "", []string{"10.0.0.1"}},
		{"10.0.0.0/31", "10.0.0.1", "", []string{"10.0.0.0"}},
		{"10.0.0.0/30", "", "", []string{"10.0.0.2"}},
		{"10.0.0.0/30", "10.0.0.2", "", []string{"10.0.0.1"}},
		{"10.0.0.8/29", "", "", []string{"10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14"}},
		{"10.0.0.0/24", "", "10.0.0.252/30", []string{"10.0.0.252", "10.0.0.253", "10.0.0.254"}},
		{"10.0.0.0/24", "10.0.0.5", "10.0.0.4/31", []string{"10.0.0.4"}},
		{"10.0.0.0/8", "", "10.255.255.254/31", []string{"10.255.255.254"}},
		{"255.255.255.252/30", "", "", []string{"255.255.255.254"}},
		{"fd00::/127", "", "", []string{"fd00::1"}},
		{"fd00::/126", "", "", []string{"fd00::2", "fd00::3"}},
		{"fd00::/64", "", "fd00::1:0/127", []string{"fd00::1:0", "fd00::1:1"}},
	} {
		c := Config{Subnet: prefix(tc.subnet)}
		if tc.gateway != "" {
			c.Gateway = addr(tc.gateway)
		}
		if tc.rng != "" {
			c.Range = prefix(tc.rng)
		}
		got := drain(t, newAllocator(t, c))
		if !equal(got, tc.want) {
			t.Errorf("%s gateway %q range %q gives %v, want %v", tc.subnet, tc.gateway, tc.rng, got, tc.want)
		}
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestWholeSubnets(t *testing.T) {
	for subnet, want := range map[string]int{"10.1.2.0/24": 253, "172.17.0.0/16": 65533, "fd00::/112": 65534} {
		a := newAllocator(t, Config{Subnet: prefix(subnet)})
		seen := map[string]bool{}
		for _, s := range drain(t, a) {
			seen[s] = true
		}
		if len(seen) != want || a.Taken() != want {
			t.Errorf("%s gives %d addresses and counts %d, want %d", subnet, len(seen), a.Taken(), want)
		}
		if last := a.subnet.Addr().String(); seen[last] || seen[a.Gateway().String()] {
			t.Errorf("%s gives out its network or gateway address", subnet)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		c    Config
		want error
	}{
		{Config{}, ErrSubnet},
		{Config{Subnet: prefix("10.0.0.1/32")}, ErrSubnet},
		{Config{Subnet: prefix("fd00::1/128")}, ErrSubnet},
		{Config{Subnet: prefix("10.0.0.1/24")}, ErrSubnet},
		{Config{Subnet: prefix("::ffff:10.0.0.0/120")}, ErrSubnet},
		{Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.1.1")}, ErrOutside},
		{Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.0")}, ErrReserved},
		{Config{Subnet: prefix("10.0.0.0/24"), Gateway: addr("10.0.0.255")}, ErrReserved},
		{Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.1.0/25")}, ErrOutside},
		{Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.0/23")}, ErrOutside},
		{Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("fd00::/120")}, ErrOutside},
	} {
		if _, err := New(tc.c); !errors.Is(err, tc.want) {
			t.Errorf("New(%+v) = %v, want %v", tc.c, err, tc.want)
		}
	}
}

func TestReserve(t *testing.T) {
	a := newAllocator(t, Config{Subnet: prefix("10.0.0.0/24"), Range: prefix("10.0.0.128/25")})
	for _, tc := range []struct {
		addr string
		want error
	}{
		{"10.0.0.0", ErrReserved},
		{"10.0.0.255", ErrReserved},
		{"10.0.0.1", ErrReserved},
		{"10.0.1.1", ErrOutside},
		{"fd00::1", ErrOutside},
		{"::ffff:10.0.0.9", ErrOutside},
		{"10.0.0.9", nil}, // outside of the range, but a static address may be
		{"10.0.0.9", ErrTaken},
		{"10.0.0.128", nil},
	} {
		if err := a.Reserve(addr(tc.addr)); !errors.Is(err, tc.want) {
			t.Errorf("Reserve(%s) = %v, want %v", tc.addr, err, tc.want)
		}
	}
	if got, err := a.Allocate(); err != nil || got != addr("10.0.0.129") {
		t.Errorf("Allocate() = %v, %v, want the first address behind the reserved one", got, err)
	}
	a.Release(addr("10.0.0.9"))
	a.Release(addr("10.0.0.9"))
	if err := a.Reserve(addr("10.0.0.9")); err != nil {
		t.Errorf("Reserve of a released address: %v", err)
	}
	if a.Taken() != 3 {
		t.Errorf("%d taken, want 3", a.Taken())
	}
}

// What is freed is given out last, the longest free first.
func TestReuseLate(t *testing.T) {
	a := newAllocator(t, Config{Subnet: prefix("10.0.0.0/29")}) // .2 to .6
	take := func(want string) {
		t.Helper()
		if got, err := a.Allocate(); err != nil || got != addr(want) {
			t.Fatalf("Allocate() = %v, %v, want %s", got, err, want)
		}
	}
	take("10.0.0.2")
	take("10.0.0.3")
	a.Release(addr("10.0.0.2"))
	take("10.0.0.4")
	a.Release(addr("10.0.0.4"))
	take("10.0.0.5")
	take("10.0.0.6")
	take("10.0.0.2")
	take("10.0.0.4")
	a.Release(addr("10.0.0.6"))
	a.Release(addr("10.0.0.5"))
	take("10.0.0.6") // though .5 is the next in the row
	take("10.0.0.5")
	if _, err := a.Allocate(); !errors.Is(err, ErrFull) {
		t.Fatalf("Allocate() = %v, want ErrFull", err)
	}
}

func TestCursorSurvivesRestart(t *testing.T) {
	a := newAllocator(t, Config{Subnet: prefix("10.0.0.0/24")})
	for range 10 {
		if _, err := a.Allocate(); err != nil {
			t.Fatal(err)
		}
	}
	b := newAllocator(t, Config{Subnet: prefix("10.0.0.0/24")})
	if err := b.SetCursor(a.Cursor()); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.Allocate(); got != addr("10.0.0.12") {
		t.Errorf("continues at %s, want 10.0.0.12", got)
	}
	if err := b.SetCursor(addr("10.0.1.0")); !errors.Is(err, ErrOutside) {
		t.Errorf("SetCursor outside = %v", err)
	}
	if err := b.SetCursor(netip.Addr{}); err != nil || b.Cursor() != addr("10.0.0.0") {
		t.Errorf("SetCursor(zero) = %v, at %s", err, b.Cursor())
	}
}

// What others have at the moment is passed over, however much it is, also where it was
// given back, and is not remembered.
func TestAllocateBesideOthers(t *testing.T) {
	a := newAllocator(t, Config{Subnet: prefix("10.0.0.0/28")})
	var others []netip.Addr
	for addr := addr("10.0.0.1"); addr != netip.MustParseAddr("10.0.0.14"); addr = addr.Next() {
		others = append(others, addr)
	}
	others = append(others, addr("192.0.2.1"), addr("fd00::1"))
	got, err := a.Allocate(others...)
	if err != nil || got != addr("10.0.0.14") {
		t.Errorf("Allocate = %s, %v", got, err)
	}
	if got, err := a.Allocate(others...); !errors.Is(err, ErrFull) {
		t.Errorf("Allocate = %s, %v, want ErrFull", got, err)
	}
	a.Release(got)
	if got, err := a.Allocate(append(others, got)...); !errors.Is(err, ErrFull) {
		t.Errorf("Allocate of what was given back = %s, %v, want ErrFull", got, err)
	}
	if got, err := a.Allocate(); err != nil || a.Taken() != 1 {
		t.Errorf("Allocate once nobody else has any = %s, %v, with %d taken", got, err, a.Taken())
	}
}

func TestLargeSubnetNeedsLittle(t *testing.T) {
	for _, subnet := range []string{"10.0.0.0/8", "fd00::/16"} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		a := newAllocator(t, Config{Subnet: prefix(subnet)})
		for range 100_000 { // sandboxes that come and go
			got, err := a.Allocate()
			if err != nil {
				t.Fatal(err)
			}
			a.Release(got)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 1<<20 {
			t.Errorf("%s keeps %d bytes with nothing taken", subnet, used)
		}
		runtime.KeepAlive(a)
	}
}

// Whatever is done in whatever order, it agrees with the plainest model.
func TestAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []Config{
		{Subnet: prefix("10.0.0.0/28")},
		{Subnet: prefix("10.0.0.0/28"), Range: prefix("10.0.0.8/29"), Gateway: addr("10.0.0.9")},
		{Subnet: prefix("fd00::/124")},
	} {
		a := newAllocator(t, c)
		model := map[netip.Addr]bool{}
		usable := func(addr netip.Addr) bool {
			last := addr.Is4() && !c.Subnet.Contains(addr.Next())
			return c.Subnet.Contains(addr) && addr != a.Gateway() && addr != c.Subnet.Addr() && !last && !model[addr]
		}
		room := func() (n int) {
			for addr := a.Range().Addr(); a.Range().Contains(addr); addr = addr.Next() {
				if usable(addr) {
					n++
				}
			}
			return n
		}
		for range 20_000 {
			some := c.Subnet.Addr().Prev()
			for range r.IntN(18) {
				some = some.Next()
			}
			switch r.IntN(3) {
			case 0:
				free := room()
				got, err := a.Allocate()
				if (err == nil) != (free > 0) {
					t.Fatalf("Allocate() = %v, %v with %d free", got, err, free)
				}
				if err == nil && (!usable(got) || !a.Range().Contains(got)) {
					t.Fatalf("Allocate() = %s, which cannot be given out", got)
				}
				if err == nil {
					model[got] = true
				}
			case 1:
				want := usable(some)
				if err := a.Reserve(some); (err == nil) != want {
					t.Fatalf("Reserve(%s) = %v, usable: %t", some, err, want)
				}
				if want {
					model[some] = true
				}
			default:
				a.Release(some)
				delete(model, some)
			}
			if a.Taken() != len(model) {
				t.Fatalf("%d taken, want %d", a.Taken(), len(model))
			}
		}
	}
}
