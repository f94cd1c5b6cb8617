package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// TestMatrix asks every question of testdata/matrix.txt with real sockets.
func TestMatrix(t *testing.T)       { matrix(t) }
func TestMatrixClsact(t *testing.T) { matrix(t, "--attach", "clsact") }

func matrix(t *testing.T, flags ...string) {
	w := newMatrixWorld(t, flags...)
	want := readMatrix(t)
	for _, forward := range []string{"0", "1"} {
		w.host.Sysctl("net.ipv4.ip_forward", forward)
		w.host.Sysctl("net.ipv6.conf.all.forwarding", forward)
		for _, family := range []string{"IPv4", "IPv6"} {
			for _, proto := range []string{"tcp", "udp", "icmp"} {
				got := w.ask(family, proto)
				for _, row := range matrixRows {
					for _, column := range matrixColumns {
						key := row + " " + column
						if answer, ok := got[key]; ok && answer != want[key] {
							t.Errorf("forwarding=%s %s %s: %s → %s: %s, want %s", forward, family, proto, row, column, answer, want[key])
						}
					}
				}
			}
		}
	}
}

var (
	matrixRows    = []string{"outside", "neighbour", "host", "same", "other", "no-icc", "internal"}
	matrixColumns = []string{"peer", "foreign", "gateway", "host", "published", "loopback"}
)

// readMatrix reads the expected answers, by "ROW COLUMN".
func readMatrix(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/matrix.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Fields(line)
		if len(cells) != len(matrixColumns)+1 || !slices.Contains(matrixRows, cells[0]) {
			continue
		}
		for i, column := range matrixColumns {
			want[cells[0]+" "+column] = cells[i+1]
		}
	}
	if len(want) != len(matrixRows)*len(matrixColumns) {
		t.Fatalf("testdata/matrix.txt has %d answers, want %d", len(want), len(matrixRows)*len(matrixColumns))
	}
	return want
}

// matrixWorld is the host of the matrix with all who ask.
type matrixWorld struct {
	t     *testing.T
	host  *lab.Machine
	from  map[string]*lab.Machine
	where map[string]map[string]string // addresses by family and row, and column
}

// Ports that servers answer on: containers, the host itself, and what is published.
const (
	containerPort = 7000
	hostPort      = 7100
	publishedPort = 8080
	loopbackPort  = 9090
)

func newMatrixWorld(t *testing.T, flags ...string) *matrixWorld {
	l := lab.New(t)
	host, neighbour, router, outside := l.Machine("host"), l.Machine("neighbour"), l.Machine("router"), l.Machine("outside")
	l.LAN("lan",
		lab.Port{On: host, Dev: "eth0", Addr: hostIP + "/24", Addr6: hostIP6 + "/64"},
		lab.Port{On: neighbour, Dev: "eth0", Addr: "198.51.100.3/24", Addr6: "2001:db8:100::3/64"},
		lab.Port{On: router, Dev: "eth0", Addr: "198.51.100.254/24", Addr6: "2001:db8:100::fe/64"},
	)
	l.Wire(
		lab.Port{On: router, Dev: "eth1", Addr: "203.0.113.1/24", Addr6: "2001:db8:203::1/64"},
		lab.Port{On: outside, Dev: "eth0", Addr: "203.0.113.2/24", Addr6: "2001:db8:203::2/64"},
	)
	router.Sysctl("net.ipv4.ip_forward", "1")
	router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	for _, gateway := range []string{"198.51.100.254", "2001:db8:100::fe"} {
		host.Route("default", netip.MustParseAddr(gateway))
	}
	for _, gateway := range []string{"203.0.113.1", "2001:db8:203::1"} {
		outside.Route("default", netip.MustParseAddr(gateway))
	}

	agent := host.Agent(flags...)
	for _, network := range [][]string{{"front"}, {"back"}, {"quiet", "--no-icc"}, {"inner", "--internal"}} {
		agent.Ebnet(append([]string{"network", "create", "--ipv6"}, network...)...)
	}
	boxes := map[string]*lab.Sandbox{}
	publish := []string{
		"-p", "8080:7000", "-p", "8080:7000/udp", "-p", "127.0.0.1:9090:7000", "-p", "127.0.0.1:9090:7000/udp",
		"-p", "[::1]:9090:7000", "-p", "[::1]:9090:7000/udp",
	}
	for name, network := range map[string]string{
		"web": "front", "same": "front", "other": "back", "other2": "back",
		"no-icc": "quiet", "no-icc2": "quiet", "internal": "inner", "internal2": "inner",
	} {
		flags := []string{"--network", network}
		if name == "web" {
			flags = append(flags, publish...)
		}
		s := agent.Create(name, flags...)
		answer(s.Machine, name, fmt.Sprint(containerPort))
		boxes[name] = s
	}
	w := &matrixWorld{t: t, host: host, from: map[string]*lab.Machine{
		"outside": outside, "neighbour": neighbour, "host": host,
	}, where: map[string]map[string]string{}}
	for _, row := range []string{"same", "other", "no-icc", "internal"} {
		w.from[row] = boxes[row].Machine
	}
	for _, addr := range append([]string{hostIP, hostIP6, "127.0.0.1", "::1"}, gatewaysOf(agent)...) {
		host.AnswerTCP("host", at(addr, fmt.Sprint(hostPort)))
		host.AnswerUDP("host", at(addr, fmt.Sprint(hostPort)))
	}
	peers := map[string]string{"same": "web", "other": "other2", "no-icc": "no-icc2", "internal": "internal2"}
	networks := map[string]string{"other": "back", "no-icc": "quiet", "internal": "inner"}
	for _, row := range matrixRows {
		peer, network := boxes["web"], "front"
		if name, ok := peers[row]; ok {
			peer = boxes[name]
		}
		if name, ok := networks[row]; ok {
			network = name
		}
		gateways := agent.Network(network).Gateways
		w.where["IPv4 "+row] = map[string]string{
			"peer": peer.Addr.String(), "foreign": boxes["web"].Addr.String(),
			"gateway": gateways[0].String(), "host": hostIP, "published": hostIP, "loopback": hostIP,
		}
		w.where["IPv6 "+row] = map[string]string{
			"peer": peer.Addr6.String(), "foreign": boxes["web"].Addr6.String(),
			"gateway": gateways[1].String(), "host": hostIP6, "published": hostIP6, "loopback": hostIP6,
		}
	}
	w.where["IPv4 host"]["loopback"], w.where["IPv6 host"]["loopback"] = "127.0.0.1", "::1"
	for _, network := range []string{"front", "back", "quiet", "inner"} {
		subnets := agent.Network(network).Subnets
		neighbour.Route(subnets[0].String(), netip.MustParseAddr(hostIP))
		neighbour.Route(subnets[1].String(), netip.MustParseAddr(hostIP6))
	}
	return w
}

func gatewaysOf(a *lab.Agent) []string {
	var out []string
	for _, network := range []string{"front", "back", "quiet", "inner"} {
		for _, gateway := range a.Network(network).Gateways {
			out = append(out, gateway.String())
		}
	}
	return out
}

// ask asks everything at once, over one protocol.
func (w *matrixWorld) ask(family, proto string) map[string]string {
	var (
		mu  sync.Mutex
		wg  sync.WaitGroup
		got = map[string]string{}
	)
	for _, row := range matrixRows {
		for _, column := range matrixColumns {
			if row == "same" && column == "foreign" || proto == "icmp" && (column == "published" || column == "loopback") {
				continue
			}
			wg.Go(func() {
				answer := "no"
				if w.reaches(family, proto, row, column) {
					answer = "yes"
				}
				mu.Lock()
				defer mu.Unlock()
				got[row+" "+column] = answer
			})
		}
	}
	wg.Wait()
	return got
}

// reaches asks once, and believes an answer only of who should give it.
func (w *matrixWorld) reaches(family, proto, row, column string) bool {
	addr := w.where[family+" "+row][column]
	if proto == "icmp" {
		return w.from[row].Try("ping", "-n", "-c", "2", "-i", "0.3", "-W", "1", addr).Code == 0
	}
	port, server := containerPort, ""
	switch column {
	case "gateway", "host":
		port, server = hostPort, "host"
	case "published":
		port, server = publishedPort, "web"
	case "loopback":
		port, server = loopbackPort, "web"
	}
	reply, err := w.from[row].AskSoon(proto, at(addr, fmt.Sprint(port)))
	if err == nil && server != "" && reply.Server != server {
		w.t.Errorf("%s %s: %s → %s: %s answers", family, proto, row, column, reply.Server)
	}
	return err == nil
}
