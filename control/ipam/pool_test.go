package ipam

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, s := range all {
		out = append(out, prefix(s))
	}
	return out
}

func TestDefaultPools(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	count := map[netip.Prefix]int{}
	for range 31 * 200 {
		got, err := ChooseSubnet(r, DefaultPools(), nil)
		if err != nil {
			t.Fatal(err)
		}
		count[got]++
	}
	if len(count) != 31 {
		t.Errorf("%d different subnets, want 15 of /16 and 16 of /20", len(count))
	}
	for p, n := range count {
		if n < 100 || n > 300 {
			t.Errorf("%s chosen %d times, want about 200", p, n)
		}
	}
	for _, want := range prefixes("172.17.0.0/16", "172.31.0.0/16", "192.168.0.0/20", "192.168.240.0/20") {
		if count[want] == 0 {
			t.Errorf("%s never chosen", want)
		}
	}
}

func TestChooseSubnetFree(t *testing.T) {
	pools := []Pool{{prefix("10.0.0.0/22"), 24}}
	for _, tc := range []struct {
		name string
		used []netip.Prefix
		want string // the only one left; empty for none
	}{
		{"the same, a part of one, one that covers two", prefixes("10.0.0.0/24", "10.0.1.128/32"), "two"},
		{"one left", prefixes("10.0.0.0/23", "10.0.3.7/30"), "10.0.2.0/24"},
		{"host bits", prefixes("10.0.1.77/23", "10.0.3.7/30"), "10.0.2.0/24"},
		{"overlapping each other", prefixes("10.0.0.0/23", "10.0.0.0/24", "10.0.1.0/26", "10.0.2.1/32", "10.0.2.0/25"), "10.0.3.0/24"},
		{"written as IPv6", prefixes("::ffff:10.0.0.0/119", "10.0.2.0/24"), "10.0.3.0/24"},
		{"default routes", prefixes("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0", "10.0.1.0/24", "10.0.2.0/23"), "10.0.0.0/24"},
		{"all in one", prefixes("10.0.0.0/8"), ""},
		{"all in parts", prefixes("10.0.0.0/23", "10.0.2.0/24", "10.0.3.255/32"), ""},
	} {
		seen := map[string]bool{}
		r := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			got, err := ChooseSubnet(r, pools, tc.used)
			if tc.want == "" {
				if !errors.Is(err, ErrNoSubnet) {
					t.Errorf("%s: %v, %v, want ErrNoSubnet", tc.name, got, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
			seen[got.String()] = true
		}
		if tc.want == "two" {
			if len(seen) != 2 || !seen["10.0.2.0/24"] || !seen["10.0.3.0/24"] {
				t.Errorf("%s: %v", tc.name, seen)
			}
		} else if tc.want != "" && (len(seen) != 1 || !seen[tc.want]) {
			t.Errorf("%s: %v, want %s", tc.name, seen, tc.want)
		}
	}
}

// With random pools and routes, a subnet is found exactly when a plain search
// over all of them finds one, and it overlaps nothing.
func TestChooseSubnetAgainstSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		pools := []Pool{
			{prefix("10.0.0.0/20"), 20 + r.IntN(6)},
			{prefix("fd00::/56"), 56 + r.IntN(5)},
		}
		var used []netip.Prefix
		for range r.IntN(12) {
			used = append(used,
				netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(17)), byte(r.IntN(256))}), 18+r.IntN(14)),
				netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 7: byte(r.IntN(256))}), 55+r.IntN(12)))
		}
		free := map[netip.Prefix]bool{}
		for _, p := range pools {
			for n := range uint64(1) << (p.Bits - p.Base.Bits()) {
				sub := p.subnet(n)
				if !overlapsAny(sub, used) {
					free[sub] = true
				}
			}
		}
		got, err := ChooseSubnet(r, pools, used)
		if len(free) == 0 {
			if !errors.Is(err, ErrNoSubnet) {
				t.Fatalf("%v beside %v: %v, %v, want ErrNoSubnet", pools, used, got, err)
			}
		} else if err != nil || !free[got] {
			t.Fatalf("%v beside %v: %v, %v, want one of %v", pools, used, got, err, free)
		}
	}
}

func overlapsAny(p netip.Prefix, used []netip.Prefix) bool {
	for _, u := range used {
		if u.Overlaps(p) {
			return true
		}
	}
	return false
}

func TestBadPool(t *testing.T) {
	for _, p := range []Pool{
		{},
		{prefix("10.0.0.0/16"), 8},
		{prefix("10.0.0.0/16"), 33},
		{prefix("fd00::/8"), 65},
		{prefix("fd00::/8"), 64},
	} {
		if got, err := ChooseSubnet(rand.New(rand.NewPCG(1, 2)), []Pool{p}, nil); !errors.Is(err, ErrSubnet) {
			t.Errorf("ChooseSubnet of %v = %v, %v, want ErrSubnet", p, got, err)
		}
	}
	if got, err := ChooseSubnet(rand.New(rand.NewPCG(1, 2)), nil, nil); !errors.Is(err, ErrNoSubnet) {
		t.Errorf("ChooseSubnet without pools = %v, %v", got, err)
	}
}
