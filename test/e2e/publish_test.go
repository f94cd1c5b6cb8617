package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/lab"
)

// wait is for what comes soon, but not at once.
const wait = 20 * time.Second

func TestPublish200Parallel(t *testing.T) {
	w := newWorld(t)
	nginx, _ := w.Nginx("web", 80)
	w.agent.RunIn("web", []string{"-p", "8080:80"}, nginx...)
	w.client.WaitGet("http://" + hostIP + ":8080/")
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			page, err := w.client.Get("http://" + hostIP + ":8080/")
			if err != nil || page != "hello from web to "+clientIP+"\n" {
				t.Errorf("got %q, %v", page, err)
			}
		})
	}
	wg.Wait()
}

func TestPublishDownload1GB(t *testing.T)       { download(t) }
func TestPublishDownload1GBClsact(t *testing.T) { download(t, "--attach", "clsact") }

// download fetches 1 GB through a published port and compares checksums.
func download(t *testing.T, flags ...string) {
	const size = 1 << 30
	w := newWorld(t, flags...)
	w.agent.RunIn("web", []string{"-p", "8080:80"}, "traffic", "serve", ":80").Proc.WaitFor("serving")
	start := time.Now()
	resp, err := w.client.HTTP().Get(fmt.Sprintf("http://%s:8080/bytes/%d", hostIP, size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, resp.Body, make([]byte, 256<<10))
	if err != nil || n != size {
		t.Fatalf("got %d bytes of %d: %v", n, size, err)
	}
	if got, want := hex.EncodeToString(sum.Sum(nil)), resp.Trailer.Get("Sha256"); got != want {
		t.Fatalf("checksum %s, want %s", got, want)
	}
	t.Logf("%d bytes in %v", n, time.Since(start).Round(time.Millisecond))
}

// A published port answers outside clients with their own address, host and sandboxes.
func TestPublishTCPAndUDP(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { publishBoth(t, f) })
}

func TestPublishTCPAndUDPClsact(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) { publishBoth(t, f, "--attach", "clsact") })
}

func publishBoth(t *testing.T, f ipFamily, flags ...string) {
	w := newFamilyWorld(t, f, flags...)
	s := w.create(f, "a", "-p", "8080:7000", "-p", "8080:7000/udp")
	s.AnswerTCP("a", at(f.all, "7000"))
	s.AnswerUDP("a", at(f.all, "7000"))
	for _, network := range []string{"tcp", "udp"} {
		outside := w.client.Talk(network, "", at(f.host, "8080"))
		for range 3 {
			if reply := w.client.MustAsk(outside); reply.Client.String() != outside.LocalAddr().String() {
				t.Errorf("%s: the client %s is seen as %s", network, outside.LocalAddr(), reply.Client)
			}
		}
		names := []string{f.loopback, f.host, f.gateway(w.agent).String()}
		if f.name == "IPv4" {
			names = append(names, "127.9.8.7")
		}
		for _, name := range names {
			c := w.host.Talk(network, "", at(name, "8080"))
			w.host.MustAsk(c)
			if got := c.RemoteAddr().String(); got != at(name, "8080") {
				t.Errorf("%s: a host's socket to %s:8080 calls its peer %s", network, name, got)
			}
		}
	}
}

// Ports of a range go to the same place in the container's range, all or none.
func TestPublishRange(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a")
	for _, port := range []string{"9000", "9005", "9010"} {
		s.AnswerTCP("at-"+port, ":"+port)
	}
	w.agent.Ebnet("publish", "8000-8010:9000-9010", "--to", "a")
	for host, container := range map[string]string{"8000": "9000", "8005": "9005", "8010": "9010"} {
		if reply, err := w.client.Ask("tcp", hostIP+":"+host); err != nil || reply.Server != "at-"+container {
			t.Errorf("port %s: %+v, %v", host, reply, err)
		}
	}
	if ports := w.agent.Ports(); len(ports) != 1 || ports[0].HostPort != 8000 || ports[0].HostPortEnd != 8010 || ports[0].PortEnd != 9010 {
		t.Errorf("a range is one object to people: %+v", ports)
	}
	if got := w.agent.Status().Published; got != 11 {
		t.Errorf("status counts %d published ports, want 11", got)
	}

	// One port in the way, and nothing of the range is there.
	if res := w.agent.Try("publish", "8010-8020:9010-9020", "--to", "a"); res.Code != 1 || !strings.Contains(res.Err, "8010") {
		t.Errorf("overlapping range: status %d, %s", res.Code, res.Err)
	}
	w.host.Start("traffic", "listen", ":8105").WaitFor("listening")
	if res := w.agent.Try("publish", "8100-8110:9000-9010", "--to", "a"); res.Code != 1 || !strings.Contains(res.Err, "8105") {
		t.Errorf("range with a held port: status %d, %s", res.Code, res.Err)
	}
	for _, port := range []string{"8011", "8020", "8100", "8104", "8110"} {
		if err := w.host.Bind("tcp4", ":"+port); err != nil {
			t.Errorf("port %s of a refused range: %v", port, err)
		}
	}

	w.agent.Ebnet("unpublish", "8000-8010")
	w.client.Unreachable("tcp", hostIP+":8005")
	if ports := w.agent.Ports(); len(ports) != 0 {
		t.Errorf("left after unpublish: %+v", ports)
	}
}

// Port 0 is one of ebnet's choosing.
func TestPublishPort0(t *testing.T) {
	w := newWorld(t)
	s := w.agent.Create("a")
	s.AnswerTCP("a", ":7000")
	w.agent.Ebnet("publish", "0:7000", "--to", "a")
	w.agent.Ebnet("publish", ":7000", "--to", "a")
	ports := w.agent.Ports()
	if len(ports) != 2 || ports[0].HostPort == 0 || ports[0].HostPort == ports[1].HostPort {
		t.Fatalf("ports: %+v", ports)
	}
	for _, p := range ports {
		if _, err := w.client.Ask("tcp", fmt.Sprintf("%s:%d", hostIP, p.HostPort)); err != nil {
			t.Error(err)
		}
	}
}

// A port published on one of the host's addresses does not answer on the others, and
// the more specific of two publishes wins, in either order of publishing.
func TestPublishHostIP(t *testing.T) {
	w := newHost(t)
	w.host.IP("addr", "add", "198.51.100.9/24", "dev", "eth0")
	w.agent = w.host.Agent()
	w.agent.Create("any").AnswerTCP("any", ":7000")
	w.agent.Create("one").AnswerTCP("one", ":7000")
	w.agent.Ebnet("publish", "198.51.100.9:8080:7000", "--to", "one")
	w.client.Unreachable("tcp", hostIP+":8080")
	w.agent.Ebnet("publish", "8080:7000", "--to", "any")
	w.agent.Ebnet("publish", "8081:7000", "--to", "any")
	w.agent.Ebnet("publish", "198.51.100.9:8081:7000", "--to", "one")
	for _, port := range []string{":8080", ":8081"} {
		for addr, want := range map[string]string{hostIP: "any", "198.51.100.9": "one"} {
			for _, m := range []*lab.Machine{w.client, w.host} {
				if reply, err := m.Ask("tcp", addr+port); err != nil || reply.Server != want {
					t.Errorf("%s asks %s%s: %+v, %v; want %s", m.Name, addr, port, reply, err, want)
				}
			}
		}
	}
	if res := w.agent.Try("publish", "203.0.113.7:8082:7000", "--to", "one"); res.Code != 1 || !strings.Contains(res.Err, "203.0.113.7") {
		t.Errorf("publish on an address that the host does not own: status %d, %s", res.Code, res.Err)
	}
}

// unpublish ends new connections, and the flows that go through the port, at once.
func TestUnpublish(t *testing.T) { overFamilies(t, unpublish) }

func unpublish(t *testing.T, f ipFamily) {
	w := newFamilyWorld(t, f)
	s := w.create(f, "a", "-p", "8080:7000", "-p", "8080:7000/udp", "-p", "8081:7000")
	s.AnswerTCP("a", at(f.all, "7000"))
	s.AnswerUDP("a", at(f.all, "7000"))
	doomed := []*lab.Conversation{
		w.client.Talk("tcp", "", at(f.host, "8080")), w.client.Talk("udp", "", at(f.host, "8080")),
	}
	kept := w.client.Talk("tcp", "", at(f.host, "8081"))
	for _, c := range append(doomed, kept) {
		w.client.MustAsk(c)
	}
	w.agent.Ebnet("unpublish", "8080")
	w.agent.Ebnet("unpublish", "8080/udp")
	for _, c := range doomed {
		c.Dead(t)
	}
	w.client.Unreachable("tcp", at(f.host, "8080"))
	w.client.Unreachable("udp", at(f.host, "8080"))
	w.host.Unreachable("tcp", at(f.loopback, "8080"))
	w.client.MustAsk(kept)
	var flows []api.Flow
	w.agent.JSON(&flows, "flows", "-o", "json")
	for _, f := range flows {
		if strings.HasSuffix(f.Dst, ":8080") {
			t.Errorf("flow of an unpublished port: %+v", f)
		}
	}
	if res := w.agent.Try("unpublish", "8080"); res.Code != 1 {
		t.Errorf("unpublish twice: status %d", res.Code)
	}
}

// When a sandbox goes, its ports go, and another can have them at once.
func TestPublishMovesToNewSandbox(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"first", "second", "third"} {
		s := w.agent.Create(name, "-p", "8080:7000/udp")
		s.AnswerUDP(name, ":7000")
		// From the same port each time: no flow of the old one may catch it.
		c := w.client.Talk("udp", clientIP+":5555", hostIP+":8080")
		if reply := w.client.MustAsk(c); reply.Server != name {
			t.Errorf("asked %s, %s answered", name, reply.Server)
		}
		c.Close()
		w.agent.Ebnet("sandbox", "rm", name)
		if ports := w.agent.Ports(); len(ports) != 0 {
			t.Errorf("ports after rm: %+v", ports)
		}
	}
}

// The host's own connections by a published port end with it, and a direct one stays.
func TestUnpublishEndsHostConnections(t *testing.T) { overFamilies(t, unpublishEndsHostConnections) }

func unpublishEndsHostConnections(t *testing.T, f ipFamily) {
	w := newFamilyWorld(t, f)
	s := w.create(f, "web")
	s.AnswerTCP("web", at(f.all, "7000"))
	s.AnswerUDP("web", at(f.all, "7000"))
	for _, network := range []string{"tcp", "udp"} {
		w.agent.Ebnet("publish", "8080:7000/"+network, "--to", "web")
		var published []*lab.Conversation
		for _, remote := range []string{at(f.loopback, "8080"), at(f.host, "8080")} {
			c := w.host.Talk(network, "", remote)
			w.host.MustAsk(c)
			published = append(published, c)
		}
		direct := w.host.Talk(network, "", at(f.of(s).String(), "7000"))
		w.host.MustAsk(direct)
		w.agent.Ebnet("unpublish", "8080/"+network)
		for _, c := range published {
			c.Dead(t)
		}
		w.host.MustAsk(direct)
	}
}

// A UDP socket of the host that has used a published port sees the sandbox's own address
// when it asks that, and the published one again when it asks that again.
func TestUnconnectedUDPSeesWhomItAsked(t *testing.T) { overFamilies(t, unconnectedUDPSeesWhomItAsked) }

func unconnectedUDPSeesWhomItAsked(t *testing.T, f ipFamily) {
	w := newFamilyWorld(t, f)
	s := w.create(f, "web", "-p", "8080:7000/udp")
	s.AnswerUDP("web", at(f.all, "7000"))
	conn := w.host.ListenUDP(at(f.all, "0"))
	direct, published := at(f.of(s).String(), "7000"), at(f.host, "8080")
	for _, to := range []string{published, direct, direct, published, direct, at(f.loopback, "8080"), published} {
		if _, err := conn.WriteTo([]byte("1\n"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to))); err != nil {
			t.Fatalf("send to %s: %v", to, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, from, err := conn.ReadFrom(make([]byte, 1500))
		if err != nil {
			t.Fatalf("answer of %s: %v", to, err)
		}
		if from.String() != to {
			t.Errorf("%s answers as %s", to, from)
		}
	}
}
