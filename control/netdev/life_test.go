package netdev

import (
	"fmt"
	"testing"
)

// A sandbox's life, again and again, leaves nothing: no descriptor, link or name.
func TestLifeLeavesNothing(t *testing.T) {
	newHost(t)
	newBridge(t)
	live := func(n byte) {
		name := fmt.Sprint("s", n)
		path, err := CreateNetns(name)
		if err != nil {
			t.Fatal(err)
		}
		v := newVeth(n, path)
		if _, err := CreateVeth(v); err != nil {
			t.Fatal(err)
		}
		if err := v.Up(); err != nil {
			t.Fatal(err)
		}
		if _, err := CreateVeth(v); err == nil {
			t.Fatal("second CreateVeth succeeded")
		}
		if _, err := Processes(path); err != nil {
			t.Fatal(err)
		}
		if err := DeleteLink(v.Host); err != nil {
			t.Fatal(err)
		}
		if err := DeleteNetns(name); err != nil {
			t.Fatal(err)
		}
	}
	live(2)
	links, err := Links()
	if err != nil {
		t.Fatal(err)
	}
	fds := countFDs(t)
	for n := byte(3); n < 13; n++ {
		live(n)
	}
	if now := countFDs(t); now != fds {
		t.Errorf("%d descriptors are open, %d were", now, fds)
	}
	after, err := Links()
	if err != nil || len(after) != len(links) {
		t.Errorf("%d links, %v; were %d", len(after), err, len(links))
	}
	if names, err := ListNetns(); err != nil || len(names) != 0 {
		t.Errorf("namespaces %v, %v", names, err)
	}
}
