package loader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestPurgeLeavesNothing(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Dir: testDir(t), Attach: m, CgroupPath: testCgroup(t)}
		ctr, ext := veth(t, "ctr", 0), veth(t, "ext", 0)
		l := open(t, c)
		must(t, l.AttachContainer(ctr))
		must(t, l.AttachUplink(ext))
		must(t, l.AttachSockets())
		hooks := socketHooks(l.programs)
		programs, maps := objects(t, l)
		must(t, l.Close())

		// Whoever has a link open must not keep it on its hook.
		var held []link.Link
		for _, pin := range names(t, l.dir.links()) {
			h, err := link.LoadPinnedLink(l.dir.linkPin(pin), nil)
			must(t, err)
			held = append(held, h)
		}
		must(t, Purge(c.Dir))

		for _, d := range directions() {
			equal(t, "container", onHook(t, ctr, d), []string{})
			equal(t, "uplink", onHook(t, ext, d), []string{})
		}
		equal(t, "qdiscs", qdiscs(t), []string{})
		for _, h := range hooks {
			equal(t, h.name, cgroupPrograms(t, c.CgroupPath, h.attach), nil)
		}
		isMissing(t, c.Dir)
		for _, h := range held {
			must(t, h.Close())
		}
		eventually(t, "maps are gone", func() bool {
			return !slices.ContainsFunc(maps, func(id ebpf.MapID) bool {
				m, err := ebpf.NewMapFromID(id)
				if err == nil {
					m.Close()
				}
				return err == nil
			})
		})
		eventually(t, "programs of devices are gone", func() bool {
			return !slices.ContainsFunc(programs, func(id ebpf.ProgramID) bool {
				p, err := ebpf.NewProgramFromID(id)
				if err == nil {
					p.Close()
				}
				return err == nil
			})
		})
	})
}

// objects are the numbers of the programs on devices and of all pinned maps.
func objects(t *testing.T, l *Loader) (programs []ebpf.ProgramID, maps []ebpf.MapID) {
	t.Helper()
	for _, a := range attached(t, l) {
		if a.Ifindex != 0 {
			programs = append(programs, ebpf.ProgramID(a.ID))
		}
	}
	for _, pin := range names(t, l.dir.maps()) {
		m, err := ebpf.LoadPinnedMap(l.dir.mapPin(pin), nil)
		must(t, err)
		info, err := m.Info()
		must(t, err)
		id, _ := info.ID()
		maps = append(maps, id)
		must(t, m.Close())
	}
	if len(programs) == 0 || len(maps) == 0 {
		t.Fatalf("nothing loaded: %v, %v", programs, maps)
	}
	return programs, maps
}

func isMissing(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", path, err)
	}
}

func TestPurgeHalfPresent(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Dir: testDir(t), Attach: m}
		must(t, Purge(c.Dir)) // nothing at all

		ctr, gone := veth(t, "ctr", 0), veth(t, "gone", 0)
		l := open(t, c)
		must(t, l.AttachContainer(ctr))
		must(t, l.AttachContainer(gone))
		must(t, l.Close())
		must(t, netlink.LinkDel(linkByName(t, "gone")))
		must(t, os.RemoveAll(l.dir.maps()))
		for _, pin := range names(t, l.dir.version()) {
			if pin != "links" && pin != "qdiscs" {
				must(t, os.Remove(filepath.Join(l.dir.version(), pin)))
			}
		}
		for range 2 {
			must(t, Purge(c.Dir))
		}
		equal(t, "container", onHook(t, ctr, ingress), []string{})
		equal(t, "qdiscs", qdiscs(t), []string{})
		isMissing(t, c.Dir)

		if m == ModeClsact { // a filter stays when its folder is lost
			l = open(t, c)
			must(t, l.AttachContainer(ctr))
			must(t, l.Close())
			must(t, os.RemoveAll(c.Dir))
			must(t, Purge(c.Dir))
			equal(t, "container without folder", onHook(t, ctr, ingress), []string{})
		}
	})
}

// What others keep in the folder stays, and so does the folder.
func TestPurgeLeavesOthersPins(t *testing.T) {
	isolate(t)
	c := Config{Dir: testDir(t)}
	must(t, open(t, c).Close())
	s := newStranger(t)
	must(t, s.Pin(filepath.Join(c.Dir, "theirs")))
	must(t, os.Mkdir(filepath.Join(c.Dir, "v1", "theirs"), 0o700))
	must(t, Purge(c.Dir))
	equal(t, "folder", names(t, c.Dir), []string{"theirs", "v1"})
	equal(t, "folder of the version", names(t, filepath.Join(c.Dir, "v1")), []string{"theirs"})
}

// A folder that is on no bpffs gets a mount of its own, which Purge undoes.
func TestOwnMount(t *testing.T) {
	isolate(t)
	c := Config{Dir: filepath.Join(t.TempDir(), "a", "b")}
	t.Cleanup(func() { _ = unix.Unmount(c.Dir, unix.MNT_DETACH) }) // if Purge did not
	l := open(t, c)
	if on, err := onBPFFS(c.Dir); !on || err != nil {
		t.Errorf("on bpffs: %v, %v", on, err)
	}
	st, err := os.Stat(c.Dir)
	must(t, err)
	if st.Mode().Perm() != 0o700 {
		t.Errorf("folder has mode %v", st.Mode())
	}
	must(t, l.Close())

	theirs := filepath.Join(c.Dir, "theirs")
	must(t, newStranger(t).Pin(theirs))
	must(t, Purge(c.Dir))
	if _, err := os.Stat(theirs); err != nil {
		t.Errorf("others' pin: %v", err)
	}
	must(t, os.Remove(theirs))
	must(t, Purge(c.Dir))
	isMissing(t, c.Dir)
}

// The usual place gets the usual mount, which stays for others.
func TestUsualMount(t *testing.T) {
	isolate(t)
	for { // what is mounted there stays mounted outside of the test's namespace
		if err := unix.Unmount(sysBPFFS, unix.MNT_DETACH); err != nil {
			break
		}
	}
	c := Config{Dir: filepath.Join(sysBPFFS, "ebnet")}
	must(t, open(t, c).Close())
	must(t, Purge(c.Dir))
	isMissing(t, c.Dir)
	if on, err := onBPFFS(sysBPFFS); !on || err != nil {
		t.Errorf("on bpffs: %v, %v", on, err)
	}
}

// A folder that holds files is neither hidden under a mount nor purged.
func TestOrdinaryFolder(t *testing.T) {
	isolate(t)
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "v1", "links"), 0o700))
	if l, err := Open(Config{Dir: dir}); err == nil {
		l.Close()
		t.Error("mounted over files")
	}
	must(t, Purge(dir))
	equal(t, "folder", names(t, dir), []string{"v1"})
	if l, err := Open(Config{}); err == nil {
		l.Close()
		t.Error("opened no folder at all")
	}
}
