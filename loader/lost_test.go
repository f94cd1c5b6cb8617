package loader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// equipped is a loader with all kinds of hooks in use.
func equipped(t *testing.T, c *Config) (l *Loader, ctr, ext int) {
	t.Helper()
	if c.Dir == "" {
		c.Dir = testDir(t)
	}
	c.CgroupPath = testCgroup(t)
	ctr, ext = veth(t, "ctr", 0), veth(t, "ext", 0)
	l = open(t, *c)
	must(t, l.AttachContainer(ctr))
	must(t, l.AttachUplink(ext))
	must(t, l.AttachSockets())
	nothingLost(t, l)
	return l, ctr, ext
}

func nothingLost(t *testing.T, l *Loader) {
	t.Helper()
	lost, err := l.Lost()
	must(t, err)
	equal(t, "lost pins", lost.Pins, nil)
	equal(t, "lost hooks", lost.Hooks, nil)
}

// hinted waits for a hint.
func hinted(t *testing.T, l *Loader) {
	t.Helper()
	select {
	case <-l.Hints():
	case <-time.After(20 * time.Second):
		t.Error("no hint of what was removed")
	}
}

// tree are the paths of all that is in a folder.
func tree(t *testing.T, dir string) (paths []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	}))
	return paths
}

// While the agent lives nothing comes off its hook for want of a pin, and the pins
// come back.
func TestLostPins(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Attach: m}
		l, ctr, _ := equipped(t, &c)
		before, pins := attached(t, l), tree(t, c.Dir)
		for _, part := range []string{"v1/links", "v1/maps", "v1/qdiscs", "v1", ""} {
			for len(l.Hints()) > 0 {
				<-l.Hints()
			}
			must(t, os.RemoveAll(filepath.Join(c.Dir, part)))
			hinted(t, l)
			equal(t, "attached without "+part, attached(t, l), before)
			lost, err := l.Lost()
			must(t, err)
			equal(t, "lost hooks", lost.Hooks, nil)
			again, err := l.Repin()
			must(t, err)
			slices.Sort(again)
			slices.Sort(lost.Pins)
			equal(t, "pinned again", again, lost.Pins)
			if want := lostWith(pins, filepath.Join(c.Dir, part)); len(lost.Pins) != want {
				t.Errorf("without %s: lost %v, want %d", part, lost.Pins, want)
			}
			equal(t, "pins after loss of "+part, tree(t, c.Dir), pins)
			nothingLost(t, l)
		}
		if _, err := Open(Config{Dir: c.Dir, NetnsCookie: thisNetns(t)}); !errors.Is(err, ErrInUse) {
			t.Errorf("the new folder is not locked: %v", err)
		}

		// The next agent finds all of it.
		must(t, l.Close())
		equalAttached(t, "with no agent", listed(t, c.Dir), before, true)
		l = open(t, c)
		equalAttached(t, "adopted", attached(t, l), before, false)
		must(t, os.RemoveAll(c.Dir))
		equal(t, "attached after adoption", onHook(t, ctr, ingress), []string{"ebnet_from_ctr"})
		_, err := l.Repin()
		must(t, err)
		equal(t, "pins after adoption", tree(t, c.Dir), pins)
		must(t, l.Close())
		must(t, Purge(c.Dir))
		isMissing(t, c.Dir)
		equal(t, "qdiscs after purge", qdiscs(t), []string{})
		equal(t, "hook after purge", onHook(t, ctr, ingress), []string{})
	})
}

// lostWith is how many pins and marks go with a folder.
func lostWith(all []string, dir string) (n int) {
	for _, path := range all {
		inside, err := filepath.Rel(dir, path)
		name := filepath.Base(path)
		folder := strings.HasSuffix(name, ".debug") || slices.Contains([]string{"ebnet", "v1", "maps", "links", "qdiscs"}, name)
		if err == nil && !strings.HasPrefix(inside, "..") && !folder {
			n++
		}
	}
	return n
}

// What is attached while the folder is gone is pinned with the rest.
func TestAttachWithoutFolder(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Dir: testDir(t), Attach: m, CgroupPath: testCgroup(t)}
		ctr := veth(t, "ctr", 0)
		l := open(t, c)
		must(t, os.RemoveAll(c.Dir))
		must(t, l.AttachContainer(ctr))
		must(t, l.AttachSockets())
		before := attached(t, l)
		_, err := l.Repin()
		must(t, err)
		nothingLost(t, l)
		must(t, l.Close())
		equal(t, "with no agent", listed(t, c.Dir), before)
		must(t, Purge(c.Dir))
		equal(t, "qdiscs after purge", qdiscs(t), []string{})
	})
}

// Descriptors end with what they are for: what is neither pinned nor held is gone.
func TestDescriptorsEnd(t *testing.T) {
	isolate(t)
	c := Config{Attach: ModeTCX}
	l, ctr, ext := equipped(t, &c)
	id := func(ifindex int) link.ID { return link.ID(on(ifindex, attached(t, l))[0].LinkID) }
	gone := func(what string, id link.ID) {
		t.Helper()
		eventually(t, what, func() bool {
			l, err := link.NewFromID(id)
			if err == nil {
				l.Close()
			}
			return errors.Is(err, fs.ErrNotExist)
		})
	}
	first, second, before := id(ctr), id(ext), descriptors(t)
	must(t, l.Detach(ctr))
	if n := descriptors(t); n != before-1 {
		t.Errorf("%d descriptors of links after Detach, before there were %d", n, before)
	}
	gone("the link ends with Detach", first)
	must(t, os.RemoveAll(l.dir.links()))
	must(t, l.Close())
	if n := descriptors(t); n != 0 {
		t.Errorf("%d descriptors of links after Close", n)
	}
	gone("the link ends with Close, without a pin", second)
	if _, err := l.Lost(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: have %v, want ErrClosed", err)
	}
	if _, err := l.Repin(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: have %v, want ErrClosed", err)
	}
}

// descriptors counts those of links that this process has.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	const all = "/proc/self/fd"
	for _, name := range names(t, all) {
		if to, err := os.Readlink(filepath.Join(all, name)); err == nil && strings.Contains(to, "bpf_link") {
			n++
		}
	}
	return n
}

// A bpffs that somebody has unmounted is mounted again, and all pinned there. Only
// lazily can it be: the agent uses it.
func TestUnmounted(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Attach: m, Dir: filepath.Join(t.TempDir(), "ebnet")}
		t.Cleanup(func() { _ = unix.Unmount(c.Dir, unix.MNT_DETACH) })
		l, ctr, _ := equipped(t, &c)
		before, pins := attached(t, l), tree(t, c.Dir)
		if err := unix.Unmount(c.Dir, 0); !errors.Is(err, unix.EBUSY) {
			t.Errorf("unmount under the agent: %v, want EBUSY", err)
		}
		must(t, unix.Unmount(c.Dir, unix.MNT_DETACH))
		equal(t, "attached", attached(t, l), before)
		lost, err := l.Lost()
		must(t, err)
		if want := lostWith(pins, c.Dir); len(lost.Pins) != want {
			t.Errorf("lost %v, want %d", lost.Pins, want)
		}

		// Not over files of others.
		theirs := filepath.Join(c.Dir, "theirs")
		must(t, os.WriteFile(theirs, nil, 0o600))
		if _, err := l.Repin(); err == nil || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("over files: %v", err)
		}
		must(t, os.Remove(theirs))

		_, err = l.Repin()
		must(t, err)
		nothingLost(t, l)
		equal(t, "pins", tree(t, c.Dir), pins)
		must(t, l.Close())
		equalAttached(t, "with no agent", listed(t, c.Dir), before, true)
		must(t, Purge(c.Dir))
		isMissing(t, c.Dir)
		equal(t, "hook after purge", onHook(t, ctr, ingress), []string{})
	})
}

// Another agent that has taken the folder meanwhile keeps it.
func TestFolderTaken(t *testing.T) {
	isolate(t)
	c := Config{Attach: ModeTCX}
	l, _, _ := equipped(t, &c)
	must(t, os.RemoveAll(c.Dir))
	inOther(t, otherNetns(t), func() { open(t, Config{Dir: c.Dir}) })
	if _, err := l.Repin(); !errors.Is(err, ErrInUse) {
		t.Errorf("repin: have %v, want ErrInUse", err)
	}
	equal(t, "the other's links", names(t, folder(c.Dir).links()), []string{})
}
