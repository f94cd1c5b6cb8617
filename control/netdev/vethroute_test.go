package netdev

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// outputIP runs ip(8) in a namespace and returns the lines it prints, sorted.
func outputIP(t *testing.T, ns, args string) (lines []string) {
	t.Helper()
	var out []byte
	err := Do(ns, func() (err error) {
		out, err = exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		return err
	})
	// FIB table does not exist: nothing was ever in it.
	if err != nil && !strings.Contains(string(out), "table does not exist") {
		t.Fatalf("ip %s: %v: %s", args, err, out)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "Error:") && !strings.HasPrefix(line, "Dump terminated") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	slices.Sort(lines)
	return lines
}

func wantIP(t *testing.T, ns, args string, want ...string) {
	t.Helper()
	if got := outputIP(t, ns, args); !slices.Equal(got, want) {
		t.Errorf("ip %s says\n%s\nwant\n%s", args, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantRules wants the rules of attachments n, and no others beside the kernel's.
func wantRules(t *testing.T, ns string, attached ...int) {
	t.Helper()
	want := []string{"0: from all lookup local", "32766: from all lookup main", "32767: from all lookup default"}
	for _, n := range attached {
		want = append(want, fmt.Sprintf("100%d: from 172.31.%d.2 lookup 100%d proto 235", n, n, n))
	}
	slices.Sort(want)
	wantIP(t, ns, "-4 rule show", want...)
}

// wantTable wants attachment n's table to be whole.
func wantTable(t *testing.T, ns string, n int) {
	t.Helper()
	wantIP(t, ns, fmt.Sprint("-4 route show table 100", n),
		fmt.Sprintf("172.31.%d.0/24 dev eth%d proto 235 scope link src 172.31.%d.2", n, n, n),
		fmt.Sprintf("default via 172.31.%d.1 dev eth%d proto 235", n, n))
}

func wantDefault(t *testing.T, ns string, n int) {
	t.Helper()
	wantIP(t, ns, "-4 route show default", fmt.Sprintf("default via 172.31.%d.1 dev eth%d proto 235", n, n))
}

func TestVethUpOnSeveralNetworks(t *testing.T) {
	newHost(t)
	newNetworks(t)
	web := newMember(t)
	ns := web[0].Netns
	wantRules(t, ns, 0, 1, 2)
	wantDefault(t, ns, 0)
	for n := range web {
		wantTable(t, ns, n)
	}
	for _, damage := range []string{
		"rule del pref 1001",
		"route flush table 1001",
		"route del default table 1001",
		"route replace default via 172.31.1.8 table 1001 proto 235",
		"link set eth1 down",
		"addr flush dev eth1",
	} {
		t.Log(damage)
		runIP(t, ns, damage)
		wantUp(t, web[1])
		wantRules(t, ns, 0, 1, 2)
		for n := range web {
			wantTable(t, ns, n)
		}
		wantDefault(t, ns, 0)
	}
}

// An attachment says all that it has: what it had before goes.
func TestVethUpTakesBack(t *testing.T) {
	newHost(t)
	newNetworks(t)
	web := newMember(t)
	ns := web[0].Netns

	renumbered := web[1]
	renumbered.Table = 77
	wantUp(t, renumbered)
	wantIP(t, ns, "-4 route show table 1001")
	wantIP(t, ns, "-4 rule show pref 1001")
	wantIP(t, ns, "-4 rule show pref 77", "77: from 172.31.1.2 lookup 77 proto 235")
	wantUp(t, web[1])
	wantRules(t, ns, 0, 1, 2)
	wantIP(t, ns, "-4 route show table 77")

	internal := web[2]
	internal.Gateways = nil
	wantUp(t, internal)
	wantRules(t, ns, 0, 1, 2)
	wantIP(t, ns, "-4 route show table 1002", "172.31.2.0/24 dev eth2 proto 235 scope link src 172.31.2.2")

	alone := web[0]
	alone.Table, alone.Default4, alone.Default6 = 0, false, false
	wantUp(t, alone)
	wantRules(t, ns, 1, 2)
	wantIP(t, ns, "-4 route show table 1000")
	wantIP(t, ns, "-4 route show default")
}

// The default route moves in one step: nobody ever sees the sandbox without one.
func TestDefaultRouteMoves(t *testing.T) {
	newHost(t)
	gateways := newNetworks(t)
	far := netip.AddrPortFrom(farClient, 7000)
	for n, gw := range gateways {
		answer(t, gw.Netns, far, fmt.Sprint(n))
	}
	web := newMember(t)
	ns := web[0].Netns
	events := subscribeIn(t, ns)

	web[0].Default4, web[0].Default6, web[1].Default4, web[1].Default6 = false, false, true, true
	wantUp(t, web[1])
	wantUp(t, web[0])
	wantDefault(t, ns, 1)
	if heard, err := ask(ns, netip.Addr{}, far); err != nil || heard != "1, ok" {
		t.Errorf("answered %q, %v", heard, err)
	}
	seen := eventsIn(t, ns, events)
	if len(seen) != 1 || seen[0].Header.Type != unix.RTM_NEWROUTE || seen[0].Header.Flags&unix.NLM_F_REPLACE == 0 {
		t.Errorf("%d events, want one replaced route: %+v", len(seen), seen)
	}

	// As control does when it disconnects: the next one takes over first.
	web[2].Default4, web[2].Default6 = true, true
	wantUp(t, web[2])
	if err := DeleteLink(web[1].Host); err != nil {
		t.Fatal(err)
	}
	wantDefault(t, ns, 2)
	if heard, err := ask(ns, netip.Addr{}, far); err != nil || heard != "2, ok" {
		t.Errorf("answered %q, %v", heard, err)
	}
}

// subscribeIn opens a socket for what changes in a sandbox, rules as well.
func subscribeIn(t *testing.T, ns string) (events *os.File) {
	t.Helper()
	err := Do(ns, func() (err error) {
		events, err = subscribe(watchBuffer)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { events.Close() })
	raw, err := events.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []int{unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE} {
		var opt error
		err := raw.Control(func(fd uintptr) {
			opt = unix.SetsockoptInt(int(fd), unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
		})
		if err != nil || opt != nil {
			t.Fatal(err, opt)
		}
	}
	return events
}

// eventsIn reads what happened in a sandbox so far.
func eventsIn(t *testing.T, ns string, events *os.File) (seen []syscall.NetlinkMessage) {
	t.Helper()
	runIP(t, ns, "addr add 127.0.0.77/32 dev lo") // the last event
	if err := events.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := events.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		msgs, err := syscall.ParseNetlinkMessage(slices.Clone(buf[:n]))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			if m.Header.Type == unix.RTM_NEWADDR {
				return seen
			}
			seen = append(seen, m)
		}
	}
}

// A default route that somebody set is theirs, also when ours is to move or to go.
func TestVethUpKeepsOtherRoutes(t *testing.T) {
	newHost(t)
	newNetworks(t)
	web := newMember(t)
	ns := web[0].Netns
	runIP(t, ns, "route replace default via 172.31.0.1 dev eth0 mtu 1300")
	runIP(t, ns, "route replace default via 172.31.1.8 table 1001")
	runIP(t, ns, "route add 10.9.0.0/16 via 172.31.2.8 table 1002")
	runIP(t, ns, "rule add from 172.31.2.2 to 10.8.0.0/16 lookup 99 pref 50")
	for _, v := range web {
		v.Default4, v.Default6 = !v.Default4, !v.Default6
		wantUp(t, v)
	}
	wantIP(t, ns, "-4 route show default", "default via 172.31.0.1 dev eth0 mtu 1300")
	wantIP(t, ns, "-4 route show default table 1001", "default via 172.31.1.8 dev eth1")
	web[2].Table = 0
	wantUp(t, web[2])
	wantIP(t, ns, "-4 route show table 1002", "10.9.0.0/16 via 172.31.2.8 dev eth2")
	wantIP(t, ns, "-4 rule show pref 50", "50: from 172.31.2.2 to 10.8.0.0/16 lookup 99")
}

func TestVethUpDualStackTable(t *testing.T) {
	newHost(t)
	newNetworks(t)
	v := attachment(0, newSandbox(t, "web"))
	v.Addrs = append(v.Addrs, netip.MustParsePrefix("fd00:31::2/64"))
	v.Gateways = append(v.Gateways, netip.MustParseAddr("fd00:31::1"))
	newAttached(t, v)
	wantTable(t, v.Netns, 0)
	table6 := []string{
		"default via fd00:31::1 dev eth0 proto 235 metric 1024 pref medium",
		"fd00:31::/64 dev eth0 proto 235 src fd00:31::2 metric 1024 pref medium",
	}
	wantIP(t, v.Netns, "-6 route show table 1000", table6...)
	wantIP(t, v.Netns, "-6 route show default", table6[0])
	wantIP(t, v.Netns, "-6 rule show pref 1000", "1000: from fd00:31::2 lookup 1000 proto 235")

	events := subscribeIn(t, v.Netns)
	wantUp(t, v)
	if seen := eventsIn(t, v.Netns, events); len(seen) != 0 {
		t.Errorf("second Up made events: %+v", seen)
	}
	if err := RemoveRules(v.Netns, v.Table); err != nil {
		t.Fatal(err)
	}
	wantIP(t, v.Netns, "-6 rule show pref 1000")
	wantIP(t, v.Netns, "-6 route show table 1000")
}
