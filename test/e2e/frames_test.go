package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/lab"
)

// Networks stay apart, whatever tags a frame has, by whichever device it comes, and
// although the host forwards.
func TestNoWayRound(t *testing.T)       { noWayRound(t) }
func TestNoWayRoundClsact(t *testing.T) { noWayRound(t, "--attach", "clsact") }

// tags are those that a frame may have: priority tags name no VLAN.
var tags = [][]uint32{
	{},
	{0x81000000},
	{0x88a80000},
	{0x81000000, 0x81000000},
	{0x88a80000, 0x81000000},
	{0x81000000, 0x81000000, 0x81000000},
	{0x81000005},
	{0x81000005, 0x81000000},
	{0x81000000, 0x81000005},
}

func noWayRound(t *testing.T, flags ...string) {
	w := newHost(t)
	stranger := w.Machine("stranger")
	w.Wire(
		lab.Port{On: stranger, Dev: "eth0", Addr: "203.0.113.2/24"},
		lab.Port{On: w.host, Dev: "eth1", Addr: "203.0.113.1/24"},
	)
	w.agent = w.host.Agent(append(flags, "--uplink", "eth0")...)
	w.agent.Ebnet("network", "create", "inner", "--internal")
	w.agent.Ebnet("network", "create", "alone", "--no-icc")
	w.host.Sysctl("net.ipv4.ip_forward", "1")
	rooms := map[string]*room{}
	for _, name := range []string{"default", "inner", "alone"} {
		rooms[name] = newRoom(w, name)
	}
	outside := &room{name: "outside", inbox: w.client.ListenUDP(":5555"), at: netip.MustParseAddrPort(clientIP + ":5555")}

	for _, from := range rooms {
		gateway := w.host.MAC(from.bridge)
		for _, to := range append(slices.Collect(maps.Values(rooms)), outside) {
			if to == from && to.name != "alone" {
				continue
			}
			for _, tag := range tags {
				if to == outside && from.name != "inner" && len(tag) == 0 {
					continue // that is masquerade
				}
				src := netip.AddrPortFrom(from.sender.Addr, 4444)
				text := fmt.Sprintf("%s to %s, tags %08x", from.name, to.name, tag)
				from.sender.SendFrame("eth0", lab.UDPFrame(from.sender.MAC("eth0"), gateway, tag, src, to.at, text))
			}
		}
	}
	for _, machine := range []*lab.Machine{w.client, stranger} {
		dev := map[*lab.Machine]string{w.client: "eth0", stranger: "eth1"}[machine]
		ip := map[*lab.Machine]string{w.client: clientIP, stranger: "203.0.113.2"}[machine]
		for _, to := range rooms {
			for _, tag := range tags {
				text := fmt.Sprintf("%s to %s, tags %08x", machine.Name, to.name, tag)
				src := netip.MustParseAddrPort(ip + ":4444")
				machine.SendFrame("eth0", lab.UDPFrame(machine.MAC("eth0"), w.host.MAC(dev), tag, src, to.at, text))
			}
		}
	}
	for _, to := range rooms {
		to.wantOnly(t, w.host)
	}
	outside.wantOnly(t, w.host)
}

// room is a network with somebody who sends and somebody who listens.
type room struct {
	name, bridge string
	sender       *lab.Sandbox
	inbox        *net.UDPConn
	at           netip.AddrPort
}

func newRoom(w *world, network string) *room {
	sender := w.agent.Create(network+"-1", "--network", network)
	listener := w.agent.Create(network+"-2", "--network", network)
	return &room{
		name: network, bridge: w.agent.Network(network).Bridge, sender: sender,
		inbox: listener.ListenUDP(":5555"), at: netip.AddrPortFrom(listener.Addr, 5555),
	}
}

// wantOnly wants nothing in the inbox but what the host sends now.
func (r *room) wantOnly(t *testing.T, host *lab.Machine) {
	t.Helper()
	conn := host.ListenUDP(":0")
	if _, err := conn.WriteToUDPAddrPort([]byte("last"), r.at); err != nil {
		t.Fatal(err)
	}
	for text := receive(r.inbox, 10*time.Second); ; text = receive(r.inbox, 100*time.Millisecond) {
		switch text {
		case "last", "":
		default:
			t.Errorf("arrived: %s", text)
			continue
		}
		if text == "" {
			return
		}
	}
}

// A frame that a switch has marked with a priority, and no VLAN, is one like others.
func TestPriorityTag(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("web", "-p", "8080:5555/udp")
	inbox := s.ListenUDP(":5555")
	src, dst := netip.MustParseAddrPort(clientIP+":4444"), netip.MustParseAddrPort(hostIP+":8080")
	frame := lab.UDPFrame(w.client.MAC("eth0"), w.host.MAC("eth0"), []uint32{0x8100e000}, src, dst, "urgent")
	w.client.SendFrame("eth0", frame)
	if got := receive(inbox, 10*time.Second); got != "urgent" {
		t.Errorf("the published port's sandbox got %q", got)
	}
}
