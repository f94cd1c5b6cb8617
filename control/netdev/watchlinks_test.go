package netdev

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linkLog notes what a watcher is told. It never blocks one.
type linkLog chan LinkEvent

func newLinkLog() linkLog { return make(linkLog, 10000) }

func (l linkLog) handle(e LinkEvent) { l <- e }

// until reads events up to the first that fits, which it returns with those before.
func (l linkLog) until(t *testing.T, what string, fits func(LinkEvent) bool) (seen []LinkEvent) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-l:
			seen = append(seen, e)
			if fits(e) {
				return seen
			}
		case <-deadline:
			t.Fatalf("%s: not among %d events", what, len(seen))
		}
	}
}

func isResync(e LinkEvent) bool { return e.Resync }

func watchInto(t *testing.T) linkLog {
	t.Helper()
	log := newLinkLog()
	if _, err := WatchLinks(t.Context(), log.handle); err != nil {
		t.Fatal(err)
	}
	if seen := log.until(t, "resync", isResync); len(seen) != 1 {
		t.Fatalf("first events: %+v; want a resync only", seen)
	}
	return log
}

func TestWatchLinks(t *testing.T) {
	newHost(t)
	bridge := newBridge(t)
	v := newVeth(2, newSandbox(t, "web"))
	log := watchInto(t)
	if _, err := CreateVeth(v); err != nil {
		t.Fatal(err)
	}
	host := hostSide(t, v.Host)
	of := func(fits func(LinkEvent) bool) func(LinkEvent) bool {
		return func(e LinkEvent) bool { return e.Link.Index == host.Index && fits(e) }
	}
	log.until(t, "created", of(func(e LinkEvent) bool { return !e.Link.Up && e.Link.Master == 0 }))

	runIP(t, threadNetns, "link set v2 master br0")
	seen := log.until(t, "port", of(func(e LinkEvent) bool { return e.Link.Master == bridge }))
	l := seen[len(seen)-1].Link
	if l.Name != "v2" || l.Kind != "veth" || l.Carrier || l.PeerIndex != host.PeerIndex || l.NetnsID != host.NetnsID || l.NetnsID < 0 {
		t.Errorf("a new port: %+v, it is %+v", l, host)
	}
	runIP(t, threadNetns, "link set v2 up")
	log.until(t, "up", of(func(e LinkEvent) bool { return e.Link.Up && !e.Link.Carrier }))
	runIP(t, v.Netns, "link set eth0 up")
	log.until(t, "carrier", of(func(e LinkEvent) bool { return e.Link.Carrier }))
	runIP(t, v.Netns, "link set eth0 down")
	log.until(t, "no carrier", of(func(e LinkEvent) bool { return e.Link.Up && !e.Link.Carrier }))

	// A port that leaves is not gone.
	runIP(t, threadNetns, "link set v2 nomaster")
	for _, e := range log.until(t, "no port", of(func(e LinkEvent) bool { return e.Link.Master == 0 })) {
		if e.Gone {
			t.Errorf("gone before it is deleted: %+v", e)
		}
	}
	if err := DeleteLink("v2"); err != nil {
		t.Fatal(err)
	}
	seen = log.until(t, "gone", of(func(e LinkEvent) bool { return e.Gone }))
	if last := seen[len(seen)-1].Link; last.Kind != "veth" {
		t.Errorf("gone: %+v", last)
	}
}

// Of many that come at once each is told of, in the order that they came in.
func TestWatchLinksTellsOfEach(t *testing.T) {
	const count = 100
	newHost(t)
	bridge := newBridge(t)
	ns := newSandbox(t, "web")
	log := watchInto(t)
	var want []int
	for n := range count {
		index, err := CreateVeth(Veth{Host: fmt.Sprint("v", n), Peer: fmt.Sprint("eth", n), Netns: ns, MTU: 1400})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, index)
		v := Veth{Host: fmt.Sprint("v", n), Peer: fmt.Sprint("eth", n), Netns: ns, Bridge: "br0", MTU: 1400}
		wantUp(t, v)
	}
	for n := range count {
		if err := DeleteLink(fmt.Sprint("v", n)); err != nil {
			t.Fatal(err)
		}
	}

	var ports, ready, gone []int
	once := func(list *[]int, index int) {
		if !slices.Contains(*list, index) {
			*list = append(*list, index)
		}
	}
	log.until(t, "the last is gone", func(e LinkEvent) bool {
		index := e.Link.Index
		switch {
		case e.Resync:
			t.Error("events were lost")
		case e.Gone:
			once(&gone, index)
		case e.Link.Master == bridge && e.Link.Carrier:
			once(&ready, index)
		case e.Link.Master == bridge:
			once(&ports, index)
		}
		return e.Gone && index == want[count-1]
	})
	for what, have := range map[string][]int{"ports": ports, "with carrier": ready, "gone": gone} {
		if !slices.Equal(have, want) {
			t.Errorf("%s: %v, want %v", what, have, want)
		}
	}
}

// What happens once the resync is told of is told of, too, however much is lost
// before.
func TestWatchLinksResyncs(t *testing.T) {
	newHost(t)
	newBridge(t)
	socket, err := subscribeTo(1, unix.RTNLGRP_LINK) // the kernel makes it its smallest
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for range 100 {
		runChange(t)
	}
	h, err := newHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	br0, err := linkByName(h, "br0")
	if err != nil {
		t.Fatal(err)
	}

	log, resyncs := newLinkLog(), 0
	ended := make(chan error, 1)
	go func() {
		ended <- watchLinks(socket, func(e LinkEvent) {
			if e.Resync {
				resyncs++
			}
			if e.Resync && resyncs == 2 {
				if err := h.LinkSetMTU(br0, 1234); err != nil {
					t.Error(err)
				}
			}
			log.handle(e)
		})
	}()
	log.until(t, "resync", isResync)
	before := log.until(t, "resync after the overrun", isResync)
	if len(before) < 2 || len(before) > 150 {
		t.Errorf("%d events of some 200 before the second resync, want those that fit", len(before)-1)
	}
	log.until(t, "change after the resync", func(e LinkEvent) bool { return e.Link.MTU == 1234 })
	socket.Close()
	if err := <-ended; err == nil {
		t.Error("a closed socket is no error")
	}
}

func TestWatchLinksEnds(t *testing.T) {
	newHost(t)
	before := countFDs(t)
	ctx, cancel := context.WithCancel(t.Context())
	log := newLinkLog()
	ended, err := WatchLinks(ctx, log.handle)
	if err != nil {
		t.Fatal(err)
	}
	log.until(t, "resync", isResync)
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	eventually(t, "descriptor is closed", func() bool { return countFDs(t) <= before })
}

// Other processes may send to anybody's netlink socket.
func TestWatchLinksHearsTheKernelOnly(t *testing.T) {
	newHost(t)
	socket, err := subscribeTo(linkBuffer, unix.RTNLGRP_LINK)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	sender, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sender)
	forged := nl.NewNetlinkRequest(unix.RTM_NEWLINK, 0)
	forged.Flags = 0 // the kernel gets it, too, and is not to take it for a request
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = 4711
	forged.AddData(msg)
	to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)}
	if err := unix.Sendto(sender, forged.Serialize(), 0, to); err != nil {
		t.Fatal(err)
	}
	runIP(t, threadNetns, "link set lo up")

	log := newLinkLog()
	go func() { _ = watchLinks(socket, log.handle) }()
	isLo := func(e LinkEvent) bool { return e.Link.Name == "lo" && e.Link.Up }
	for _, e := range log.until(t, "lo is up", isLo) {
		if e.Link.Index == int(msg.Index) {
			t.Errorf("told of what another process sent: %+v", e)
		}
	}
}
