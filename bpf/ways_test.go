package bpf_test

import (
	"net"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/datapath"
)

func TestPublished(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrA, 80)
		h.publish(datapath.UDP, hostIP, 5353, addrB, 53)
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		client := outside + ":40000"

		h.walk(
			step{"SYN", ext, h.ext, tcpPacket(client, hostIP+":8080", syn), redirect, tcpPacket(client, addrA+":80", 0), 0},
			step{"SYN again", ext, h.ext, tcpPacket(client, hostIP+":8080", syn), redirect, tcpPacket(client, addrA+":80", 0), 0},
			step{"SYN-ACK", ctr, h.ctrA, tcpPacket(addrA+":80", client, syn|ack), redirect, tcpPacket(hostIP+":8080", client, 0), 0},
			step{"ACK", ext, h.ext, tcpPacket(client, hostIP+":8080", ack), redirect, tcpPacket(client, addrA+":80", 0), 0},
			step{"data", ext, h.ext, tcpPacket(client, hostIP+":8080", ack), redirect, tcpPacket(client, addrA+":80", 0), 0},
			step{"answer", ctr, h.ctrA, tcpPacket(addrA+":80", client, ack), redirect, tcpPacket(hostIP+":8080", client, 0), 0},
			step{"UDP", ext, h.ext, udpPacket(client, hostIP+":5353"), redirect, udpPacket(client, addrB+":53"), 0},
			step{"UDP answer", ctr, h.ctrB, udpPacket(addrB+":53", client), redirect, udpPacket(hostIP+":5353", client), 0},
			step{"not published", ext, h.ext, tcpPacket(client, hostIP+":8081", syn), pass, packet{}, 0},
			step{"other protocol", ext, h.ext, udpPacket(client, hostIP+":8080"), pass, packet{}, 0},
			step{"no SYN", ext, h.ext, tcpPacket(outside+":40001", hostIP+":8080", ack), pass, packet{}, 0},
			step{"another machine's address", ext, h.ext, tcpPacket(client, neighbor+":8080", syn), pass, packet{}, 0},
		)
		flows := h.flows()
		if len(flows) != 2 || flows[0].State != datapath.StateEstablished || flows[0].Packets != 6 {
			t.Fatalf("flows %+v, want an established TCP flow of 6 packets and a UDP one", flows)
		}
	})
}

func TestPublishPrefersTheAddressItself(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrA, 80)
		h.publish(datapath.TCP, hostIP, 8080, addrB, 81)
		client := outside + ":40000"
		h.walk(
			step{"exact", h.objs.EbnetFromExt, h.ext, tcpPacket(client, hostIP+":8080", syn), redirect, tcpPacket(client, addrB+":81", 0), 0},
		)
	})
}

// A port that is kept for a container which does not run is the host's to answer, and
// nobody's to masquerade with.
func TestKeptPort(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		p, err := h.dp.Publish(datapath.Publish{Proto: datapath.TCP, Host: h.at("0.0.0.0"), HostPort: 8080, HostPortEnd: 8080, Port: 80}, nil)
		h.check(err)
		h.walk(
			step{"from outside", h.objs.EbnetFromExt, h.ext, tcpPacket(outside+":40000", hostIP+":8080", syn), pass, packet{}, 0},
			step{"from a container", h.objs.EbnetFromCtr, h.ctrA, tcpPacket(addrA+":40000", hostIP+":8080", syn), pass, packet{}, 0},
		)
		if seen := h.open(h.objs.EbnetFromCtr, h.ctrA, tcpPacket(addrA+":8080", outside+":443", syn)).NATSrc; seen.Port() == 8080 {
			t.Errorf("masqueraded as %s", seen)
		}
		all, err := h.dp.Publishes()
		h.check(err)
		if len(all) != 1 || all[0] != p {
			t.Errorf("published %+v, want %+v", all, p)
		}
	})
}

// One client port to two host ports of one container port: the container cannot
// tell them apart, so the second has another source port.
func TestTwoHostPortsOfOnePort(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrA, 80)
		h.publish(datapath.TCP, "0.0.0.0", 9000, addrA, 80)
		ext, client, server := h.objs.EbnetFromExt, outside+":40000", addrA+":80"
		h.walk(step{"first", ext, h.ext, tcpPacket(client, hostIP+":8080", syn), redirect, tcpPacket(client, server, 0), 0})
		seen := h.open(ext, h.ext, tcpPacket(client, hostIP+":9000", syn)).NATSrc
		if seen.Addr() != h.at(outside) || seen.Port() < 61000 {
			t.Fatalf("second: the server sees %s, want the client's address and a port from 61000 on", seen)
		}
		h.walk(
			step{"first's answer", h.objs.EbnetFromCtr, h.ctrA, tcpPacket(server, client, syn|ack), redirect, tcpPacket(hostIP+":8080", client, 0), 0},
			step{"second's answer", h.objs.EbnetFromCtr, h.ctrA, tcpPacket(server, seen.String(), syn|ack), redirect, tcpPacket(hostIP+":9000", client, 0), 0},
		)
	})
}

// Nobody outside has these addresses: whoever uses them means to be taken for
// the host, a container or worse.
func TestMartianSources(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrA, 80)
		for _, source := range []string{
			"127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", hostIP, gateway, addrA, addrB, addrC,
		} {
			h.walk(
				step{source, h.objs.EbnetFromExt, h.ext, udpPacket(source+":1234", hostIP+":8080"), shot, packet{}, datapath.DropSource},
				step{source + ", not published", h.objs.EbnetFromExt, h.ext, udpPacket(source+":1234", hostIP+":8081"), pass, packet{}, 0},
			)
		}
	})
}

// Published on 127.0.0.1 is for the host's own processes: nothing that comes
// by a wire reaches it, whatever it says of its destination.
func TestLoopbackPublishIsNotOnTheWire(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "127.0.0.1", 8080, addrA, 80)
		h.walk(
			step{"host address", h.objs.EbnetFromExt, h.ext, tcpPacket(outside+":40000", hostIP+":8080", syn), pass, packet{}, 0},
			step{"forged", h.objs.EbnetFromExt, h.ext, tcpPacket(outside+":40000", "127.0.0.1:8080", syn), pass, packet{}, 0},
		)
	})
}

func TestUnpublishEndsFlows(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		p := h.publish(datapath.TCP, "0.0.0.0", 8080, addrA, 80)
		client := outside + ":40000"
		ext := h.objs.EbnetFromExt
		h.walk(
			step{"SYN", ext, h.ext, tcpPacket(client, hostIP+":8080", syn), redirect, tcpPacket(client, addrA+":80", 0), 0},
			step{"SYN-ACK", h.objs.EbnetFromCtr, h.ctrA, tcpPacket(addrA+":80", client, syn|ack), redirect, tcpPacket(hostIP+":8080", client, 0), 0},
			step{"ACK", ext, h.ext, tcpPacket(client, hostIP+":8080", ack), redirect, tcpPacket(client, addrA+":80", 0), 0},
		)
		h.check(h.dp.Unpublish(p))
		h.walk(
			step{"data", ext, h.ext, tcpPacket(client, hostIP+":8080", ack), pass, packet{}, 0},
			step{"answer", h.objs.EbnetFromCtr, h.ctrA, tcpPacket(addrA+":80", client, ack), shot, packet{}, datapath.DropNoFlow},
			step{"SYN", ext, h.ext, tcpPacket(client, hostIP+":8080", syn), pass, packet{}, 0},
		)
		// published again, to another container: the same client gets there at once
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrB, 80)
		h.walk(
			step{"SYN", ext, h.ext, tcpPacket(client, hostIP+":8080", syn), redirect, tcpPacket(client, addrB+":80", 0), 0},
		)
	})
}

func TestMasquerade(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ext, ctr := h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		server := outside + ":443"
		h.walk(
			step{"SYN", ctr, h.ctrA, tcpPacket(addrA+":5000", server, syn), redirect, tcpPacket(hostIP+":5000", server, 0), 0},
			step{"SYN-ACK", ext, h.ext, tcpPacket(server, hostIP+":5000", syn|ack), redirect, tcpPacket(server, addrA+":5000", 0), 0},
			step{"ACK", ctr, h.ctrA, tcpPacket(addrA+":5000", server, ack), redirect, tcpPacket(hostIP+":5000", server, 0), 0},
			step{"UDP", ctr, h.ctrA, udpPacket(addrA+":5000", server), redirect, udpPacket(hostIP+":5000", server), 0},
			step{"UDP answer", ext, h.ext, udpPacket(server, hostIP+":5000"), redirect, udpPacket(server, addrA+":5000"), 0},
			step{"echo", ctr, h.ctrA, echoPacket(addrA+":77", outside+":0"), redirect, echoPacket(hostIP+":77", outside+":0"), 0},
			step{"echo reply", ext, h.ext, echoPacket(outside+":0", hostIP+":77"), redirect, echoPacket(outside+":0", addrA+":77"), 0},
			step{"another server's reply", ext, h.ext, udpPacket(outside+":444", hostIP+":5000"), pass, packet{}, 0},
			step{"no SYN", ctr, h.ctrA, tcpPacket(addrA+":5001", server, ack), shot, packet{}, datapath.DropNoFlow},
		)
	})
}

// Two containers, one server, one source port: the second gets another, and
// both get their own answers.
func TestMasqueradeCollision(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		server := outside + ":443"
		for name, make := range map[string]func(src, dst string) packet{
			"UDP":  udpPacket,
			"TCP":  func(src, dst string) packet { return tcpPacket(src, dst, syn) },
			"echo": func(src, _ string) packet { return echoPacket(src, outside+":0") },
		} {
			h.walk(step{
				name, h.objs.EbnetFromCtr, h.ctrA, make(addrA+":6000", server), redirect,
				make(hostIP+":6000", server), 0,
			})
			if verdict, _ := h.run(h.objs.EbnetFromCtr, h.ctrB, make(addrB+":6000", server)); verdict != redirect {
				t.Fatalf("%s: second container's verdict %d, want redirect", name, verdict)
			}
			for _, f := range h.flows() {
				if f.Src.Addr() != h.at(addrB) || f.State != datapath.StateNew {
					continue
				}
				if f.NATSrc.Port() == 6000 {
					t.Fatalf("%s: both containers have the outside port 6000: %+v", name, f)
				}
				reply := make(server, f.NATSrc.String())
				want := make(server, addrB+":6000")
				if name == "echo" {
					reply, want = echoPacket(outside+":0", f.NATSrc.String()), echoPacket(outside+":0", addrB+":6000")
				}
				if name == "TCP" {
					reply.tcp, want.tcp = syn|ack, syn|ack
				}
				h.walk(step{name + " reply", h.objs.EbnetFromExt, h.ext, reply, redirect, want, 0})
				_, err := h.dp.EndAllFlows()
				h.check(err)
				break
			}
		}
	})
}

func TestNoPortLeft(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		s := datapath.DefaultSettings()
		s.FIBIfindex, s.PortMin, s.PortMax = uint32(device(t, "fib").Index), 40000, 40001
		h.check(h.dp.SetSettings(s))
		server := outside + ":53"
		for _, port := range []string{":40000", ":40001"} {
			h.walk(step{
				"within", h.objs.EbnetFromCtr, h.ctrA, udpPacket(addrA+port, server), redirect,
				udpPacket(hostIP+port, server), 0,
			})
		}
		h.walk(step{
			"full", h.objs.EbnetFromCtr, h.ctrB, udpPacket(addrB+":40000", server), shot, packet{}, datapath.DropNoPort,
		})
		failures, err := h.dp.PortFailures()
		h.check(err)
		if failures[datapath.UDP] != 1 {
			t.Fatalf("failures %v, want one of UDP", failures)
		}
	})
}

func TestContainerToContainer(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ctr := h.objs.EbnetFromCtr
		h.walk(
			step{"TCP", ctr, h.ctrA, tcpPacket(addrA+":5000", addrB+":80", syn), redirect, packet{}, 0},
			step{"no SYN", ctr, h.ctrB, tcpPacket(addrB+":80", addrA+":5000", ack), redirect, packet{}, 0},
			step{"fragment", ctr, h.ctrA, packet{src: addrA + ":5000", dst: addrB + ":80", proto: udp, fragment: 0x2001}, redirect, packet{}, 0},
			step{"other protocol", ctr, h.ctrA, packet{src: addrA + ":0", dst: addrB + ":0", proto: 47, payload: "gre"}, redirect, packet{}, 0},
			step{"spoofed", ctr, h.ctrA, tcpPacket(addrC+":5000", addrB+":80", syn), shot, packet{}, datapath.DropSource},
			step{"other network", ctr, h.ctrA, tcpPacket(addrA+":5000", addrC+":80", syn), shot, packet{}, datapath.DropIsolated},
			step{"gateway", ctr, h.ctrA, tcpPacket(addrA+":5000", gateway+":22", syn), pass, packet{}, 0},
			step{"multicast", ctr, h.ctrA, udpPacket(addrA+":5353", "224.0.0.251:5353"), pass, packet{}, 0},
		)
		h.network(datapath.Network{Index: 1, Bridge: 100, Masquerade: true}, gateway)
		h.walk(step{"no icc", ctr, h.ctrA, tcpPacket(addrA+":5000", addrB+":80", syn), shot, packet{}, datapath.DropIsolated})
	})
}

func TestHairpin(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrB, 80)
		ctr := h.objs.EbnetFromCtr
		for _, c := range []struct {
			name, client, host, seen string // seen: the client's address, as the server sees it
			dev                      *net.Interface
		}{
			{"to a neighbour", addrA, hostIP, addrA, h.ctrA},
			{"by the gateway's address", addrA, gateway, addrA, h.ctrA},
			{"from another network", addrC, hostIP, addrC, h.ctrC},
			{"to itself", addrB, hostIP, gateway, h.ctrB},
		} {
			client, host := c.client+":5000", c.host+":8080"
			seen := h.open(ctr, c.dev, tcpPacket(client, host, syn)).NATSrc
			if seen.Addr() != h.at(c.seen) || seen.Port() < 61000 {
				t.Fatalf("%s: the server sees %s, want %s and a port from 61000 on", c.name, seen, c.seen)
			}
			server := addrB + ":80"
			h.walk(
				step{c.name + ": SYN again", ctr, c.dev, tcpPacket(client, host, syn), redirect, tcpPacket(seen.String(), server, 0), 0},
				step{c.name + ": answer", ctr, h.ctrB, tcpPacket(server, seen.String(), syn|ack), redirect, tcpPacket(host, client, 0), 0},
			)
		}
		h.walk(step{"neighbours talk on", ctr, h.ctrB, tcpPacket(addrB+":81", addrA+":5000", syn), redirect, packet{}, 0})
	})
}

// open gives the first packet of a flow to a program and returns the flow.
func (h *host) open(prog *ebpf.Program, dev *net.Interface, p packet) datapath.Flow {
	h.t.Helper()
	if verdict, _ := h.run(prog, dev, p); verdict != redirect {
		h.t.Fatalf("first packet from %s to %s: verdict %d, want redirect", p.src, p.dst, verdict)
	}
	w := h.wire(p)
	for _, f := range h.flows() {
		if f.Src.String() == w.src && f.Dst.String() == w.dst && f.Proto == datapath.Proto(w.proto) {
			return f
		}
	}
	h.t.Fatalf("no flow from %s to %s", p.src, p.dst)
	return datapath.Flow{}
}

// The server cannot tell a client's hairpin connection from one that the client
// makes directly with the port that stands for it: who spoke last is answered,
// but no living TCP connection is given up.
func TestDirectAfterHairpin(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.TCP, "0.0.0.0", 8080, addrB, 80)
		h.publish(datapath.UDP, "0.0.0.0", 8080, addrB, 80)
		ctr, server := h.objs.EbnetFromCtr, addrB+":80"
		published := hostIP + ":8080"

		seen := h.open(ctr, h.ctrA, udpPacket(addrA+":5000", published)).NATSrc.String()
		h.walk(
			step{"UDP direct", ctr, h.ctrA, udpPacket(seen, server), redirect, packet{}, 0},
			step{"its answer", ctr, h.ctrB, udpPacket(server, seen), redirect, packet{}, 0},
		)
		seen = h.open(ctr, h.ctrA, tcpPacket(addrA+":5000", published, syn)).NATSrc.String()
		h.walk(
			step{"SYN-ACK", ctr, h.ctrB, tcpPacket(server, seen, syn|ack), redirect, tcpPacket(published, addrA+":5000", 0), 0},
			step{"ACK", ctr, h.ctrA, tcpPacket(addrA+":5000", published, ack), redirect, tcpPacket(seen, server, 0), 0},
			step{"TCP direct", ctr, h.ctrA, tcpPacket(seen, server, syn), shot, packet{}, datapath.DropNoPort},
			step{"RST", ctr, h.ctrA, tcpPacket(addrA+":5000", published, rst), redirect, tcpPacket(seen, server, 0), 0},
			step{"TCP direct", ctr, h.ctrA, tcpPacket(seen, server, syn), redirect, packet{}, 0},
			step{"its answer", ctr, h.ctrB, tcpPacket(server, seen, syn|ack), redirect, packet{}, 0},
		)
	})
}

func TestUnpublishedPortIsNotReachable(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.walk(
			step{"direct", h.objs.EbnetFromExt, h.ext, tcpPacket(neighbor+":5000", addrA+":80", syn), shot, packet{}, datapath.DropDirect},
			step{"first fragment", h.objs.EbnetFromExt, h.ext, packet{src: neighbor + ":1", dst: addrA + ":1", proto: udp, fragment: 0x2000}, shot, packet{}, datapath.DropDirect},
			step{"fragment", h.objs.EbnetFromExt, h.ext, packet{src: neighbor + ":1", dst: addrA + ":1", proto: udp, fragment: 3}, shot, packet{}, datapath.DropDirect},
		)
	})
}

func TestWhatIsNotForwarded(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ctr, ext := h.objs.EbnetFromCtr, h.objs.EbnetFromExt
		server := outside + ":443"
		h.walk(
			step{"UDP-Lite", ctr, h.ctrA, packet{src: addrA + ":0", dst: outside + ":0", proto: 136, payload: "its sum covers addresses"}, shot, packet{}, datapath.DropUnsupported},
			step{"echo reply", ctr, h.ctrA, echoPacket(addrA+":0", outside+":3"), shot, packet{}, datapath.DropNoFlow},
			step{"truncated", ctr, h.ctrA, packet{src: addrA + ":0", dst: outside + ":0", proto: tcp, raw: true, payload: "short"}, shot, packet{}, datapath.DropInvalid},
			step{"other machine's", ext, h.ext, packet{src: server, dst: hostIP + ":1", proto: udp, ethDst: h.ctrA.HardwareAddr}, pass, packet{}, 0},
		)
	})
}

// What has no ports is masqueraded by its address, for one container with each peer, and the
// host comes before all.
func TestWithoutPorts(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		ctr, ext, toExt := h.objs.EbnetFromCtr, h.objs.EbnetFromExt, h.objs.EbnetToExt
		for _, proto := range []uint8{47, 50, 132, 253} {
			opaque := func(src, dst string) packet {
				return packet{src: src + ":0", dst: dst + ":0", proto: proto, payload: "what it says is its own matter"}
			}
			later := opaque(addrA, outside)
			later.fragment = 3
			kind := h.errors()[0]
			h.walk(
				step{"out", ctr, h.ctrA, opaque(addrA, outside), redirect, opaque(hostIP, outside), 0},
				step{"answer", ext, h.ext, opaque(outside, hostIP), redirect, opaque(outside, addrA), 0},
				step{"fragment", ctr, h.ctrA, later, redirect, opaque(hostIP, outside), 0},
				step{"error", ext, h.ext, errorPacket(router, hostIP, kind, opaque(hostIP, outside), 30), redirect, errorPacket(router, addrA, kind, opaque(addrA, outside), 30), 0},
				step{"another container", ctr, h.ctrB, opaque(addrB, outside), shot, packet{}, datapath.DropNoPort},
				step{"another peer", ctr, h.ctrB, opaque(addrB, "198.51.100.8"), redirect, opaque(hostIP, "198.51.100.8"), 0},
				step{"the host", toExt, h.ext, opaque(hostIP, outside), pass, packet{}, 0},
				step{"the host's answer", ext, h.ext, opaque(outside, hostIP), pass, packet{}, 0},
				step{"out again", ctr, h.ctrA, opaque(addrA, outside), shot, packet{}, datapath.DropNoPort},
				step{"unasked", ext, h.ext, opaque("198.51.100.9", hostIP), pass, packet{}, 0},
			)
		}
	})
}

func TestHeaderForms(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		h.publish(datapath.UDP, "0.0.0.0", 5353, addrA, 53)
		client := outside + ":40000"
		plain := udpPacket(client, hostIP+":5353")
		plain.noChecksum = true
		for words := range 11 {
			options := udpPacket(client, hostIP+":5353")
			options.options = words
			h.walk(step{"options", h.objs.EbnetFromExt, h.ext, options, redirect, udpPacket(client, addrA+":53"), 0})
		}
		h.walk(step{"UDP without checksum", h.objs.EbnetFromExt, h.ext, plain, redirect, udpPacket(client, addrA+":53"), 0})
		// every payload word once, so that sums of 0 and 0xffff occur
		for i := range 0x10000 {
			p := udpPacket(client, hostIP+":5353")
			p.payload = string([]byte{byte(i >> 8), byte(i)})
			h.walk(step{"sums", h.objs.EbnetFromExt, h.ext, p, redirect, udpPacket(client, addrA+":53"), 0})
		}
	})
}

// The host's own new connection over the outside tuple of a container's flow
// leaves from another port, and both keep their packets.
func TestHostKeepsClear(t *testing.T) {
	overFamilies(t, func(t *testing.T, h *host) {
		server := outside + ":443"
		toExt, ext, ctr := h.objs.EbnetToExt, h.objs.EbnetFromExt, h.objs.EbnetFromCtr
		h.walk(
			step{"container", ctr, h.ctrA, udpPacket(addrA+":5000", server), redirect, udpPacket(hostIP+":5000", server), 0},
			step{"host, other port", toExt, h.ext, udpPacket(hostIP+":5001", server), pass, packet{}, 0},
		)
		if verdict, _ := h.run(toExt, h.ext, udpPacket(hostIP+":5000", server)); verdict != pass {
			t.Fatalf("host's packet: verdict %d, want pass", verdict)
		}
		var moved string
		for _, f := range h.flows() {
			if f.Kind == datapath.KindHost {
				moved = f.NATSrc.String()
			}
		}
		same := packet{src: server, dst: hostIP + ":5000", ttl: 64}
		h.walk(
			step{"host's answer", ext, h.ext, udpPacket(server, moved), pass, same, 0},
			step{"container's answer", ext, h.ext, udpPacket(server, hostIP+":5000"), redirect, udpPacket(server, addrA+":5000"), 0},
			step{"host again", toExt, h.ext, udpPacket(hostIP+":5000", server), pass, packet{src: moved, dst: server, ttl: 64}, 0},
		)
		// the host's ping first: the container's gets another identifier
		h.walk(step{"host's echo", toExt, h.ext, echoPacket(hostIP+":9", outside+":0"), pass, packet{}, 0})
		if verdict, _ := h.run(ctr, h.ctrA, echoPacket(addrA+":9", outside+":0")); verdict != redirect {
			t.Fatalf("container's echo: verdict %d, want redirect", verdict)
		}
		h.walk(step{"host's echo reply", ext, h.ext, echoPacket(outside+":0", hostIP+":9"), pass, packet{}, 0})
	})
}
