package loader

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestAttach(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		dir := testDir(t)
		l := open(t, Config{Dir: dir, Attach: m})
		if l.Mode() != m {
			t.Errorf("mode: have %v, want %v", l.Mode(), m)
		}
		ctr, ext := veth(t, "ctr", 0), veth(t, "ext", 0)
		for range 2 { // the second time must change nothing
			must(t, l.AttachContainer(ctr))
			must(t, l.AttachUplink(ext))
		}
		equal(t, "container ingress", onHook(t, ctr, ingress), []string{"ebnet_from_ctr"})
		equal(t, "container egress", onHook(t, ctr, egress), []string{})
		equal(t, "uplink ingress", onHook(t, ext, ingress), []string{"ebnet_from_ext"})
		equal(t, "uplink egress", onHook(t, ext, egress), []string{"ebnet_to_ext"})

		var have []string
		for _, a := range attached(t, l) {
			if a.ID == 0 || (a.LinkID == 0) != (m == ModeClsact) {
				t.Errorf("without numbers: %+v", a)
			}
			have = append(have, a.Hook+" "+a.Program)
		}
		equal(t, "attached", have, []string{
			m.String() + "/ingress ebnet_from_ctr",
			m.String() + "/egress ebnet_to_ext",
			m.String() + "/ingress ebnet_from_ext",
		})

		// A device may change sides.
		must(t, l.AttachContainer(ext))
		equal(t, "former uplink ingress", onHook(t, ext, ingress), []string{"ebnet_from_ctr"})
		equal(t, "former uplink egress", onHook(t, ext, egress), []string{})

		must(t, l.AttachBridge(ext))
		equal(t, "bridge ingress", onHook(t, ext, ingress), []string{"ebnet_from_br"})
		equal(t, "bridge egress", onHook(t, ext, egress), []string{"ebnet_to_br"})

		for range 2 {
			must(t, l.Detach(ctr))
			must(t, l.Detach(ext))
		}
		equal(t, "container after detach", onHook(t, ctr, ingress), []string{})
		equal(t, "attached after detach", attached(t, l), nil)
		equal(t, "qdiscs after detach", qdiscs(t), []string{})
		equal(t, "links after detach", names(t, l.dir.links()), []string{})
	})
}

func TestAttachMissingDevice(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		l := open(t, Config{Dir: testDir(t), Attach: m})
		for _, ifindex := range []int{-1, 0, 4711} {
			if err := l.AttachContainer(ifindex); err == nil {
				t.Errorf("attached to device %d, which does not exist", ifindex)
			}
			must(t, l.Detach(ifindex))
		}
		equal(t, "links", names(t, l.dir.links()), []string{})
		equal(t, "marks", names(t, l.dir.qdiscs()), []string{})
	})
}

// Others keep their place on the hook and their packets, those that came before
// us and those that run behind us.
func TestOthersStay(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		dir := testDir(t)
		ctr := veth(t, "ctr", 0)
		late, early := newStranger(t), newStranger(t)
		must(t, netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: qdiscAttrs(ctr)}))
		late.filterAt(t, ctr, 50)
		if m == ModeTCX {
			early.attach(t, ctr, link.Head())
		} else {
			early.filterAt(t, ctr, 2)
		}
		l := open(t, Config{Dir: dir, Attach: m})
		must(t, l.AttachContainer(ctr))

		others, err := l.Others(ctr)
		must(t, err)
		if len(others) != 2 || others[0].Program != "stranger" || others[1].Program != "stranger" {
			t.Errorf("others: %+v", others)
		}
		if have := onHook(t, ctr, ingress); m == ModeTCX && have[0] != "ebnet_from_ctr" {
			t.Errorf("not at the head: %v", have)
		}
		late.sees(t, "ctr")
		early.sees(t, "ctr")

		must(t, l.Close())
		l = open(t, Config{Dir: dir, Attach: m})
		late.sees(t, "ctr")
		must(t, l.Detach(ctr))
		must(t, l.Close())
		must(t, Purge(dir))
		equal(t, "hook after purge", onHook(t, ctr, ingress), []string{"stranger", "stranger"})
		late.sees(t, "ctr")
		early.sees(t, "ctr")
	})
}

// A filter that sits where ours belongs is not replaced and not removed.
func TestForeignFilterInOurSlot(t *testing.T) {
	isolate(t)
	dir := testDir(t)
	ctr := veth(t, "ctr", 0)
	must(t, netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: qdiscAttrs(ctr)}))
	s := newStranger(t)
	must(t, netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: filterAttrs(ctr, ingress), Fd: s.FD(), Name: "ebnet_fake", DirectAction: true,
	}))
	l := open(t, Config{Dir: dir, Attach: ModeClsact})
	if err := l.AttachContainer(ctr); !errors.Is(err, ErrTaken) {
		t.Errorf("attach: have %v, want ErrTaken", err)
	}
	must(t, l.Detach(ctr))
	must(t, l.Close())
	must(t, Purge(dir))
	equal(t, "hook", onHook(t, ctr, ingress), []string{"stranger"})
}

// A qdisc that ebnet made stays while others use it.
func TestSharedQdisc(t *testing.T) {
	isolate(t)
	dir := testDir(t)
	ctr := veth(t, "ctr", 0)
	l := open(t, Config{Dir: dir, Attach: ModeClsact})
	must(t, l.AttachContainer(ctr))
	s := newStranger(t)
	s.filterAt(t, ctr, 50)
	must(t, l.Detach(ctr))
	must(t, l.Close())
	must(t, Purge(dir))
	equal(t, "hook", onHook(t, ctr, ingress), []string{"stranger"})
	s.sees(t, "ctr")
}

// An ingress qdisc has no egress: a filter for it would run at ingress.
func TestIngressQdisc(t *testing.T) {
	isolate(t)
	ext := veth(t, "ext", 0)
	must(t, netlink.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ext, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
	}}))
	l := open(t, Config{Dir: testDir(t), Attach: ModeClsact})
	if err := l.AttachUplink(ext); !errors.Is(err, ErrTaken) {
		t.Errorf("attach: have %v, want ErrTaken", err)
	}
	must(t, l.AttachContainer(ext))
	equal(t, "ours", on(ext, attached(t, l))[1:], nil)
	must(t, l.Detach(ext))
	equal(t, "qdiscs", qdiscs(t), []string{"ingress"})
}

func TestAttachSockets(t *testing.T) {
	isolate(t)
	dir, group := testDir(t), testCgroup(t)
	foreign := foreignSocketHook(t, group)
	l := open(t, Config{Dir: dir, CgroupPath: group})
	must(t, l.AttachSockets())
	first := attached(t, l)
	if len(first) != 10 {
		t.Errorf("attached: %+v", first)
	}
	must(t, l.AttachSockets())
	equal(t, "attached once more", attached(t, l), first)
	for _, h := range socketHooks(l.programs) {
		want := 1
		if h.attach == foreign {
			want = 2
		}
		if have := cgroupPrograms(t, group, h.attach); len(have) != want {
			t.Errorf("%s: %d programs, want %d", h.name, len(have), want)
		}
	}
	must(t, l.Close())

	l = open(t, Config{Dir: dir, CgroupPath: group})
	for i, a := range attached(t, l) {
		if a.LinkID != first[i].LinkID || a.ID == first[i].ID || a.Program != first[i].Program {
			t.Errorf("not adopted: %+v became %+v", first[i], a)
		}
	}
	must(t, l.Close())

	// Another cgroup: the hooks move, whoever has one open.
	other := testCgroup(t)
	held, err := link.LoadPinnedLink(l.dir.linkPin("cgroup-connect6"), nil)
	must(t, err)
	defer held.Close()
	l = open(t, Config{Dir: dir, CgroupPath: other})
	must(t, l.AttachSockets())
	for _, h := range socketHooks(l.programs) {
		if n := len(cgroupPrograms(t, other, h.attach)); n != 1 {
			t.Errorf("%s in the new cgroup: %d programs", h.name, n)
		}
		if n := len(cgroupPrograms(t, group, h.attach)); (n != 0) != (h.attach == foreign) {
			t.Errorf("%s in the old cgroup: %d programs", h.name, n)
		}
	}

	// A cgroup that is gone takes its hooks with it.
	must(t, l.Close())
	must(t, os.Remove(other))
	eventually(t, "the hooks are gone", func() bool { return len(listed(t, dir)) == 0 })
	l = open(t, Config{Dir: dir, CgroupPath: group})
	equal(t, "links", names(t, l.dir.links()), []string{})
	must(t, l.AttachSockets())
	if have := attached(t, l); len(have) != 10 {
		t.Errorf("attached again: %+v", have)
	}
}

// foreignSocketHook puts somebody else's program on the cgroup and says where.
func foreignSocketHook(t *testing.T, group string) ebpf.AttachType {
	t.Helper()
	prog := foreignSocketProgram(t)
	l, err := link.AttachCgroup(link.CgroupOptions{
		Path: group, Attach: ebpf.AttachCGroupInet4Connect, Program: prog,
	})
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return ebpf.AttachCGroupInet4Connect
}

func cgroupPrograms(t *testing.T, group string, at ebpf.AttachType) []link.AttachedProgram {
	t.Helper()
	fd, err := unix.Open(group, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	res, err := link.QueryPrograms(link.QueryOptions{Target: fd, Attach: at})
	must(t, err)
	return res.Programs
}
