package loader

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A program that somebody takes off its hook is missed, and attached again.
func TestLostHooks(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Attach: m}
		l, ctr, ext := equipped(t, &c)
		harms := map[string]func(){
			"cgroup-connect4": func() { detachByID(t, attached(t, l)[0].LinkID) },
		}
		if m == ModeTCX {
			harms[tcxPin(ingress, ctr)] = func() { detachByID(t, on(ctr, attached(t, l))[0].LinkID) }
			harms[tcxPin(egress, ext)] = func() { detachByID(t, on(ext, attached(t, l))[0].LinkID) }
		} else {
			at := filterPlace{ext, egress}
			remove := func() { must(t, netlink.FilterDel(&netlink.BpfFilter{FilterAttrs: filterAttrs(ext, egress), Fd: -1})) }
			harms["clsact-egress-"+filepath.Base(l.dir.qdiscMark(ext))] = remove
			harms["clsact-ingress-"+filepath.Base(l.dir.qdiscMark(ctr))] = func() {
				must(t, netlink.QdiscDel(&netlink.Clsact{QdiscAttrs: qdiscAttrs(ctr)}))
			}
			harms["clsact-egress-"+filepath.Base(l.dir.qdiscMark(ext))+" "] = func() { // another in its place
				remove()
				must(t, netlink.FilterAdd(&netlink.BpfFilter{
					FilterAttrs: filterAttrs(at.ifindex, at.dir), Fd: newStranger(t).FD(), Name: "stranger", DirectAction: true,
				}))
			}
		}
		for name, harm := range harms {
			harm()
			lost, err := l.Lost()
			must(t, err)
			equal(t, "lost hooks", lost.Hooks, []string{strings.TrimSpace(name)})
			equal(t, "lost pins", lost.Pins, nil)
			if strings.HasSuffix(name, " ") {
				must(t, netlink.FilterDel(&netlink.BpfFilter{FilterAttrs: filterAttrs(ext, egress), Fd: -1}))
			}
			must(t, l.AttachContainer(ctr))
			must(t, l.AttachUplink(ext))
			must(t, l.AttachSockets())
			nothingLost(t, l)
		}
		must(t, netlink.LinkDel(linkByName(t, "ctr")))
		nothingLost(t, l)
		must(t, l.Detach(ctr))
		nothingLost(t, l)
	})
}

func detachByID(t *testing.T, id uint32) {
	t.Helper()
	l, err := link.NewFromID(link.ID(id))
	must(t, err)
	must(t, l.Detach())
	must(t, l.Close())
}

// BenchmarkLost is the price of a look at 1,000 devices, as the agent takes every
// other second.
func BenchmarkLost(b *testing.B) {
	for _, m := range []Mode{ModeTCX, ModeClsact} {
		b.Run(m.String(), func(b *testing.B) { benchmarkLost(b, m) })
	}
}

func benchmarkLost(b *testing.B, m Mode) {
	isolate(b)
	const devices = 1000
	l := open(b, Config{Dir: testDir(b), Attach: m, CgroupPath: testCgroup(b)})
	for i := range devices {
		must(b, l.AttachContainer(veth(b, fmt.Sprintf("ctr%d", i), 0)))
	}
	must(b, l.AttachSockets())
	before := processorTime(b)
	n := 0
	for b.Loop() {
		lost, err := l.Lost()
		must(b, err)
		if len(lost.Pins)+len(lost.Hooks) > 0 {
			b.Fatalf("lost %+v", lost)
		}
		n++
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(n), "cpu-ns/op")
}

// processorTime is what this process has used, in user and kernel space.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
