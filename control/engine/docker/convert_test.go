package docker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/engine"
)

func TestSettle(t *testing.T) {
	for _, row := range []struct{ least, most, want string }{
		{"1.12", "1.41", "1.41"},
		{"1.24", "1.45", "1.44"},
		{"1.44", "1.53", "1.44"},
		{"1.45", "1.60", "1.45"},
		{"1.24", "1.9", "1.9"},
		{"1.44", "2.0", "1.44"},
		{"2.0", "2.1", "2.0"},
		{"", "1.41", "1.41"},
	} {
		if got := settle(row.least, row.most); got != row.want {
			t.Errorf("%s to %s: got %s, want %s", row.least, row.most, got, row.want)
		}
	}
}

func TestPorts(t *testing.T) {
	one := func(ip, port string) []portBinding { return []portBinding{{ip, port}} }
	for _, row := range []struct {
		name     string
		bindings map[string][]portBinding
		want     string
	}{
		{"none", nil, ""},
		{"exposed only", map[string][]portBinding{"80/tcp": nil}, ""},
		{"both families", map[string][]portBinding{"80/tcp": {{"0.0.0.0", "8080"}, {"::", "8080"}}}, " tcp:0.0.0.0:8080-8080:80-80 tcp::::8080-8080:80-80"},
		{"no host IP", map[string][]portBinding{"80/sctp": one("", "8080")}, " sctp:0.0.0.0:8080-8080:80-80"},
		{"no host port", map[string][]portBinding{"80/tcp": one("0.0.0.0", ""), "81/tcp": one("0.0.0.0", "0")}, ""},
		{"range", map[string][]portBinding{"9/udp": one("1.2.3.4", "19"), "10/udp": one("1.2.3.4", "20"), "11/udp": one("1.2.3.4", "21")}, " udp:1.2.3.4:19-21:9-11"},
		{"other way round", map[string][]portBinding{"9/udp": one("1.2.3.4", "20"), "10/udp": one("1.2.3.4", "19")}, " udp:1.2.3.4:19-19:10-10 udp:1.2.3.4:20-20:9-9"},
		{"other address", map[string][]portBinding{"9/udp": one("1.2.3.4", "19"), "10/udp": one("1.2.3.5", "20")}, " udp:1.2.3.4:19-19:9-9 udp:1.2.3.5:20-20:10-10"},
		{"other protocol", map[string][]portBinding{"9/udp": one("1.2.3.4", "19"), "10/tcp": one("1.2.3.4", "20")}, " tcp:1.2.3.4:20-20:10-10 udp:1.2.3.4:19-19:9-9"},
		{"one port inside", map[string][]portBinding{"80/tcp": {{"0.0.0.0", "8080"}, {"0.0.0.0", "8081"}}}, " tcp:0.0.0.0:8080-8080:80-80 tcp:0.0.0.0:8081-8081:80-80"},
		{"last port", map[string][]portBinding{"65534/tcp": one("0.0.0.0", "65534"), "65535/tcp": one("0.0.0.0", "65535"), "1/tcp": one("0.0.0.0", "1")}, " tcp:0.0.0.0:1-1:1-1 tcp:0.0.0.0:65534-65535:65534-65535"},
		{"nonsense", map[string][]portBinding{"x/tcp": one("0.0.0.0", "1"), "65536/tcp": one("0.0.0.0", "1"), "1/tcp": one("0.0.0.0", "x")}, ""},
	} {
		var b strings.Builder
		describeContainer(&b, engine.Container{Ports: readPorts(row.bindings), Created: time.Unix(1, 0)}, "")
		if got := b.String(); got != "container "+row.want+"\n" {
			t.Errorf("%s: got %swant%s", row.name, got, row.want)
		}
	}
}

func TestNetworkOptions(t *testing.T) {
	for _, row := range []struct {
		options map[string]string
		want    string
	}{
		{nil, "icc masquerade"},
		{map[string]string{optICC: "0", optMasquerade: "F"}, ""},
		{map[string]string{optICC: "true", optMasquerade: "true", optDefault: "true"}, "icc masquerade"},
		{map[string]string{optMasquerade: "false", optDefault: "true"}, "icc masquerade?"},
		{map[string]string{optGatewayMode: "routed"}, "icc"},
		{map[string]string{optGatewayMode: "nat"}, "icc masquerade"},
		{map[string]string{optHostIP: "192.0.2.1", optMTU: "9000"}, "icc masquerade host=192.0.2.1 mtu=9000"},
		{map[string]string{optHostIP: "0.0.0.0", optMTU: "x"}, "icc masquerade"},
	} {
		reply := networkReply{ID: "0123456789abcdef", Name: "n", Driver: "bridge", Options: row.options, Created: time.Unix(1, 0)}
		reply.IPAM.Config = []ipamConfig{{Subnet: "10.0.0.0/24", Gateway: "10.0.0.1/24"}, {Subnet: "nonsense"}}
		n, ok := readNetwork(reply)
		var b strings.Builder
		describeNetwork(&b, n)
		want := strings.TrimSpace("network n BR 10.0.0.0/24 gateway=10.0.0.1 "+row.want) + "\n"
		if got := b.String(); !ok || got != want {
			t.Errorf("%v: got %swant %s", row.options, got, want)
		}
	}
}

// The default route is on the network that Docker chooses: one with a gateway,
// then the higher priority, then the first name.
func TestDefaultRoute(t *testing.T) {
	type on = map[string]endpointReply
	for _, row := range []struct {
		networks on
		want     string
	}{
		{on{"b": {Gateway: "10.0.0.1"}, "a": {Gateway: "10.0.1.1"}}, "a"},
		{on{"b": {Gateway: "10.0.0.1"}, "a": {}}, "b"},
		{on{"b": {Gateway: "10.0.0.1", GwPriority: 1}, "a": {Gateway: "10.0.1.1"}}, "b"},
		{on{"b": {Gateway: "10.0.0.1"}, "a": {GwPriority: 5}}, "b"},
		{on{"a": {}, "b": {}}, ""},
	} {
		for name, e := range row.networks {
			e.NetworkID, e.IPAddress, e.IPPrefixLen = name, "10.9.9.9", 24
			row.networks[name] = e
		}
		got := ""
		for _, e := range readEndpoints(row.networks) {
			if e.Default {
				got += e.Network
			}
		}
		if got != row.want {
			t.Errorf("%v: got %q, want %q", row.networks, got, row.want)
		}
	}
}

func TestNamesOfNetworks(t *testing.T) {
	id := func(i int) string { return strings.Repeat(fmt.Sprint(i), 20) }
	networks := []engine.Network{
		{Name: "b", ID: id(1), Created: time.Unix(3, 0)},
		{Name: "b", ID: id(2), Created: time.Unix(1, 0)},
		{Name: "a", ID: id(3)},
		{Name: "b", ID: id(4), Created: time.Unix(2, 0)},
	}
	rename(networks)
	want := []string{"a", "b", "b-111111111111", "b-444444444444"}
	for i, n := range networks {
		if n.Name != want[i] {
			t.Errorf("network %d is %s, want %s", i, n.Name, want[i])
		}
	}
}

// Links give a container more names in lists.
func TestOwnName(t *testing.T) {
	if got := ownName([]string{"/other/alias", "/web"}); got != "web" {
		t.Errorf("got %s, want web", got)
	}
}

func TestPause(t *testing.T) {
	for _, row := range []struct{ gone, want time.Duration }{
		{0, 10 * time.Millisecond},
		{time.Second, 100 * time.Millisecond},
		{time.Hour, time.Second},
	} {
		if got := pause(row.gone); got != row.want {
			t.Errorf("gone for %s: got %s, want %s", row.gone, got, row.want)
		}
	}
}
