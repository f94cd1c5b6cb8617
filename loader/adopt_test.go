package loader

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A restart keeps maps and links, and replaces the programs in place.
func TestRestartAdopts(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Dir: testDir(t), Attach: m}
		ctr, ext := veth(t, "ctr", 0), veth(t, "ext", 0)
		l := open(t, c)
		must(t, l.AttachContainer(ctr))
		must(t, l.AttachUplink(ext))
		before := attached(t, l)
		must(t, l.Maps().HostAddrs.Put(make([]byte, 16), uint32(7)))
		must(t, l.Close())
		equalAttached(t, "with no agent", listed(t, c.Dir), before, true)

		removals := watchFilters(t)
		l = open(t, c)
		equalAttached(t, "after restart", attached(t, l), before, false)
		if n := removals(); n > 0 {
			t.Errorf("%d filters were removed for a moment", n)
		}
		var value uint32
		must(t, l.Maps().HostAddrs.Lookup(make([]byte, 16), &value))
		if value != 7 {
			t.Errorf("map: have %d, want 7", value)
		}
	})
}

// listed is what hangs in a folder that nobody has open.
func listed(t *testing.T, dir string) []Attachment {
	t.Helper()
	ls := newLinks(folder(dir))
	defer ls.close()
	for _, name := range names(t, ls.dir.links()) {
		_, err := ls.get(name)
		must(t, err)
	}
	found, err := ls.attached()
	must(t, err)
	return found
}

// equalAttached compares hooks, devices, links and names, and says whether the
// programs have to be the same ones or all new.
func equalAttached(t *testing.T, what string, have, want []Attachment, same bool) {
	t.Helper()
	if len(have) != len(want) || len(want) == 0 {
		t.Fatalf("%s: have %+v, want %+v", what, have, want)
	}
	for i, w := range want {
		h := have[i]
		if (h.ID == w.ID) != same {
			t.Errorf("%s: program of %+v was %d", what, h, w.ID)
		}
		if h.ID = w.ID; h != w {
			t.Errorf("%s: have %+v, want %+v", what, h, w)
		}
	}
}

// watchFilters counts the filters that the kernel removes from now on.
func watchFilters(t *testing.T) (removals func() int) {
	t.Helper()
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_TC)
	must(t, err)
	t.Cleanup(s.Close)
	return func() (n int) {
		must(t, unix.SetNonblock(s.GetFd(), true))
		buf := make([]byte, 1<<16)
		for {
			size, _, err := unix.Recvfrom(s.GetFd(), buf, 0)
			if errors.Is(err, unix.EAGAIN) {
				return n
			}
			must(t, err)
			if size >= 6 && binary.NativeEndian.Uint16(buf[4:]) == unix.RTM_DELTFILTER {
				n++
			}
		}
	}
}

// An agent that attaches in another way than the one before it ends with one
// program on each hook.
func TestChangeOfMode(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		other := ModeTCX + ModeClsact - m
		dir := testDir(t)
		ctr, ext := veth(t, "ctr", 0), veth(t, "ext", 0)
		l := open(t, Config{Dir: dir, Attach: other})
		must(t, l.AttachContainer(ctr))
		must(t, l.AttachUplink(ext))
		must(t, l.Close())

		gaps := watchHook(t, ctr, other == ModeTCX)
		l = open(t, Config{Dir: dir, Attach: m})
		if n := gaps(); n > 0 {
			t.Errorf("hook was seen empty %d times", n)
		}
		for range 2 {
			equal(t, "container ingress", onHook(t, ctr, ingress), []string{"ebnet_from_ctr"})
			equal(t, "uplink ingress", onHook(t, ext, ingress), []string{"ebnet_from_ext"})
			equal(t, "uplink egress", onHook(t, ext, egress), []string{"ebnet_to_ext"})
			for _, a := range attached(t, l) {
				if !strings.HasPrefix(a.Hook, m.String()+"/") {
					t.Errorf("left in the old way: %+v", a)
				}
			}
			must(t, l.AttachContainer(ctr))
			must(t, l.AttachUplink(ext))
		}
		if m == ModeTCX {
			equal(t, "qdiscs", qdiscs(t), []string{})
		} else {
			equal(t, "links", names(t, l.dir.links()), []string{})
		}
	})
}

// watchHook looks at the ingress of a device until the result is called, which
// tells how often it was empty. A program that moves from tcx to clsact, or the
// other way round, has to be looked for where it came from first.
func watchHook(t *testing.T, ifindex int, fromTCX bool) (gaps func() int) {
	t.Helper()
	home, err := netns.Get()
	must(t, err)
	stop, done := make(chan struct{}), make(chan error)
	empty := 0
	go func() {
		runtime.LockOSThread() // and never again unlocked: the thread ends here
		err := netns.Set(home)
		for err == nil {
			var seen bool
			if seen, err = isOnHook(ifindex, fromTCX); !seen {
				empty++
			}
			select {
			case <-stop:
				done <- err
				return
			default:
			}
		}
		<-stop
		done <- err
	}()
	return func() int {
		close(stop)
		must(t, <-done)
		must(t, home.Close())
		return empty
	}
}

func isOnHook(ifindex int, tcxFirst bool) (bool, error) {
	tcx := func() (bool, error) {
		programs, err := queryTCX(ifindex, ingress)
		return len(programs) > 0, err
	}
	clsact := func() (bool, error) {
		found, err := filters(ifindex, ingress)
		return len(found) > 0, err
	}
	if !tcxFirst {
		tcx, clsact = clsact, tcx
	}
	if seen, err := tcx(); seen || err != nil {
		return seen, err
	}
	return clsact()
}

// A link dies with its device; a later device of the same number is another.
func TestDefunctLink(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t), Attach: ModeTCX}
	ctr := veth(t, "ctr", 77)
	l := open(t, c)
	must(t, l.AttachContainer(ctr))
	must(t, netlink.LinkDel(linkByName(t, "ctr")))
	equal(t, "attached without device", attached(t, l), nil)

	if again := veth(t, "again", 77); again != ctr {
		t.Fatalf("device has number %d, want %d", again, ctr)
	}
	equal(t, "attached to the later device", attached(t, l), nil)
	must(t, l.AttachContainer(ctr))
	equal(t, "later device", onHook(t, ctr, ingress), []string{"ebnet_from_ctr"})

	must(t, netlink.LinkDel(linkByName(t, "again")))
	must(t, l.Close())
	l = open(t, c)
	equal(t, "links", names(t, l.dir.links()), []string{})

	third := veth(t, "third", 77)
	must(t, l.AttachContainer(third))
	must(t, netlink.LinkDel(linkByName(t, "third")))
	must(t, l.Detach(third))
	equal(t, "links after detach", names(t, l.dir.links()), []string{})
}

// A device that leaves the namespace leaves without our program.
func TestDeviceLeaves(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t), Attach: ModeTCX}
	other := otherNetns(t)
	ctr := veth(t, "ctr", 77)
	l := open(t, c)
	must(t, l.AttachContainer(ctr))
	must(t, netlink.LinkSetNsFd(linkByName(t, "ctr"), int(other)))
	again := veth(t, "again", 77)
	newStranger(t).attach(t, again, link.Head())
	equal(t, "attached", attached(t, l), nil)
	must(t, l.Close())
	l = open(t, c)
	equal(t, "links", names(t, l.dir.links()), []string{})
	inOther(t, other, func() {
		there := linkByName(t, "ctr").Attrs().Index
		equal(t, "where it went", onHook(t, there, ingress), []string{})
	})
}

// A qdisc that went with its device is not taken for a later device's.
func TestLostQdisc(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t), Attach: ModeClsact}
	ctr := veth(t, "ctr", 77)
	l := open(t, c)
	must(t, l.AttachContainer(ctr))
	must(t, netlink.LinkDel(linkByName(t, "ctr")))
	must(t, l.Close())
	l = open(t, c)
	equal(t, "marks", names(t, l.dir.qdiscs()), []string{})

	veth(t, "again", 77)
	must(t, netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: qdiscAttrs(ctr)}))
	must(t, l.AttachContainer(ctr))
	must(t, l.Detach(ctr))
	equal(t, "qdiscs", qdiscs(t), []string{"clsact"})
}

// What a later version left is not touched.
func TestUnknownProgram(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t), NetnsCookie: thisNetns(t), Attach: ModeTCX}
	ctr, second := veth(t, "ctr", 0), veth(t, "second", 0)
	l := open(t, c)
	must(t, l.AttachContainer(ctr))
	must(t, l.AttachContainer(second))
	before := attached(t, l)
	s := newStranger(t)
	p, err := link.LoadPinnedLink(l.dir.linkPin(tcxPin(ingress, second)), nil)
	must(t, err)
	must(t, p.Update(s.Program))
	must(t, p.Close())
	must(t, l.Close())

	if _, err := Open(c); !errors.Is(err, ErrVersion) {
		t.Errorf("open: have %v, want ErrVersion", err)
	}
	equal(t, "first device", listed(t, c.Dir)[:1], before[:1])
	equal(t, "second device", onHook(t, second, ingress), []string{"stranger"})

	must(t, Purge(c.Dir))
	must(t, os.MkdirAll(filepath.Join(c.Dir, "v1/links/cgroup-later"), 0o700))
	if _, err := Open(c); !errors.Is(err, ErrVersion) {
		t.Errorf("open with an unknown pin: have %v, want ErrVersion", err)
	}
}
