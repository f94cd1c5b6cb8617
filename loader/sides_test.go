package loader

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Two agents in two namespaces on one kernel know nothing of each other, though
// their devices have the same numbers.
func TestSideBySide(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		root := testDir(t)
		group := testCgroup(t)
		other := otherNetns(t)
		const ifindex = 77
		start := func(name string) *Loader {
			t.Helper()
			return open(t, Config{Dir: filepath.Join(root, name), Attach: m, CgroupPath: group})
		}
		attach := func(l *Loader) []Attachment {
			t.Helper()
			must(t, l.AttachUplink(veth(t, "ext", ifindex)))
			must(t, l.AttachSockets())
			return attached(t, l)
		}
		one := start("one")
		attach(one)
		var two *Loader
		var before []Attachment
		inOther(t, other, func() {
			two = start("two")
			before = attach(two)
		})
		// The first restarts, detaches, attaches and goes for good.
		must(t, one.Close())
		one = start("one")
		must(t, one.Detach(ifindex))
		must(t, one.AttachContainer(ifindex))
		must(t, one.Close())
		must(t, Purge(string(one.dir)))
		equal(t, "first", onHook(t, ifindex, ingress), []string{})

		inOther(t, other, func() {
			equal(t, "second", attached(t, two), before)
			equal(t, "second's hook", onHook(t, ifindex, ingress), []string{"ebnet_from_ext"})
			// Nor does a purge of the first's folder from here do harm.
			must(t, two.Close())
		})
		one = start("one")
		must(t, one.AttachContainer(ifindex))
		must(t, one.Close())
		inOther(t, other, func() {
			must(t, Purge(string(one.dir)))
			equal(t, "second after purge", listed(t, string(two.dir)), before)
		})
	})
}

// A second agent on the same folder is told who has it.
func TestSameFolder(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t), NetnsCookie: thisNetns(t)}
	other := otherNetns(t)
	l := open(t, c)
	must(t, l.AttachContainer(veth(t, "ctr", 0)))
	_, err := Open(c)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "(process ") {
		t.Errorf("running agent: have %v, want ErrInUse with the process", err)
	}
	before := attached(t, l)
	must(t, l.Close())
	inOther(t, other, func() {
		_, err := Open(Config{Dir: c.Dir, NetnsCookie: thisNetns(t)})
		if !errors.Is(err, ErrInUse) {
			t.Errorf("stopped agent of another namespace: have %v, want ErrInUse", err)
		}
	})
	equal(t, "attached", listed(t, c.Dir), before)
	open(t, c)
}

// A namespace that is gone leaves a folder that the next one takes over.
func TestNamespaceGone(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t), NetnsCookie: 1, Attach: ModeTCX}
	l := open(t, c)
	must(t, l.AttachContainer(veth(t, "ctr", 77)))
	must(t, l.Close())
	must(t, unix.Unshare(unix.CLONE_NEWNET)) // the last thread leaves
	eventually(t, "the namespace is gone", func() bool {
		ls := newLinks(l.dir)
		_, elsewhere, err := ls.lookTCX(77, ingress)
		must(t, errors.Join(err, ls.close()))
		return !elsewhere
	})
	c.NetnsCookie = 2
	l = open(t, c)
	equal(t, "links", names(t, l.dir.links()), []string{})
	served, err := l.dir.served()
	must(t, err)
	equal(t, "served", served, []uint64{2})
}

func TestRights(t *testing.T) {
	isolate(t)
	dir := testDir(t)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	must(t, unix.Capget(&header, &data[0]))
	full := data
	data[unix.CAP_NET_ADMIN/32].Effective &^= 1 << (unix.CAP_NET_ADMIN % 32)
	must(t, unix.Capset(&header, &data[0])) // of this thread alone
	_, openErr := Open(Config{Dir: dir})
	purgeErr := Purge(dir)
	must(t, unix.Capset(&header, &full[0]))
	for _, err := range []error{openErr, purgeErr} {
		if !errors.Is(err, ErrRights) {
			t.Errorf("have %v, want ErrRights", err)
		}
	}
	isMissing(t, dir)
}
