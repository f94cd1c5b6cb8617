package ipam

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestChooseULA draws prefixes: each is a /64 of fd00::/8, none of the same /48 as another
// that is used, and what is used of all of it is told.
func TestChooseULA(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var used []netip.Prefix
	for range 100 {
		p, err := ChooseULA(r, used)
		if err != nil {
			t.Fatal(err)
		}
		if p.Bits() != 64 || !netip.MustParsePrefix("fd00::/8").Contains(p.Addr()) || p != p.Masked() {
			t.Fatalf("%s is no /64 of fd00::/8", p)
		}
		for _, u := range used {
			if site, _ := u.Addr().Prefix(48); site.Contains(p.Addr()) {
				t.Fatalf("%s is of the same site as %s", p, u)
			}
		}
		used = append(used, p)
	}
	if p, err := ChooseULA(r, []netip.Prefix{netip.MustParsePrefix("fc00::/7")}); err == nil {
		t.Errorf("%s although all of it is used", p)
	}
}
