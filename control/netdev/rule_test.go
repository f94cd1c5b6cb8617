package netdev

import "testing"

func TestRemoveRules(t *testing.T) {
	newHost(t)
	newNetworks(t)
	web := newMember(t)
	ns := web[0].Netns
	runIP(t, ns, "rule add from 172.31.1.2 to 10.8.0.0/16 lookup 1001 pref 50")
	if err := DeleteLink(web[1].Host); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also when they are gone
		if err := RemoveRules(ns, web[1].Table); err != nil {
			t.Fatal(err)
		}
	}
	wantIP(t, ns, "-4 rule show pref 50", "50: from 172.31.1.2 to 10.8.0.0/16 lookup 1001")
	runIP(t, ns, "rule del pref 50")
	wantRules(t, ns, 0, 2)

	// The link may still be there.
	if err := RemoveRules(ns, web[2].Table); err != nil {
		t.Fatal(err)
	}
	wantRules(t, ns, 0)
	wantIP(t, ns, "-4 route show table 1002")
	wantDefault(t, ns, 0)
	if err := RemoveRules(NetnsPath("none"), 1000); err != nil {
		t.Errorf("without a namespace: %v", err)
	}
}

func TestPruneRules(t *testing.T) {
	newHost(t)
	newNetworks(t)
	web := newMember(t)
	ns := web[0].Netns
	for _, v := range web[1:] {
		if err := DeleteLink(v.Host); err != nil {
			t.Fatal(err)
		}
	}
	wantRules(t, ns, 0, 1, 2)
	if err := PruneRules(ns, web[0].Table); err != nil {
		t.Fatal(err)
	}
	wantRules(t, ns, 0)
	wantTable(t, ns, 0)
	wantDefault(t, ns, 0)
	if err := PruneRules(ns); err != nil {
		t.Fatal(err)
	}
	wantRules(t, ns)
	wantIP(t, ns, "-4 route show table 1000")
	wantDefault(t, ns, 0)
}
