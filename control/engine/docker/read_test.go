package docker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/engine"
)

var recordings = []string{"20.10", "26.1"}

// recorded is what was made before the recordings, in the words of describe.
const recorded = `network back BR 10.6.0.0/24 icc masquerade
network bridge docker0 172.17.0.0/16 icc masquerade? mtu=1500
network front BR 10.5.0.0/16 within=10.5.3.0/24 gateway=10.5.0.9 masquerade host=127.0.0.1 map[a:b]
network inner mybr 172.30.0.0/24 fd00:5::/64 internal icc mtu=1400
container again
container done
container joined running netns joins=web2
container made
container multi running netns back=10.6.0.2/24,02:42:0a:06:00:02,default front=10.5.3.77/16,02:42:aa:bb:cc:dd inner=172.30.0.2/24,fd00:5::2/64,02:42:ac:1e:00:02 tcp:0.0.0.0:8081-8081:80-80 tcp:0.0.0.0:8082-8082:80-80
container nonet running netns
container onhost running onhost
container paused running netns back=10.6.0.3/24,02:42:0a:06:00:03,default tcp:0.0.0.0:32768-32768:3002-3002 tcp:0.0.0.0:32769-32769:3001-3001 tcp:0.0.0.0:32770-32770:3000-3000
container web2 running netns bridge=172.17.0.2/16,02:42:ac:11:00:02,default tcp:0.0.0.0:8080-8080:80-80 tcp:0.0.0.0:10000-10002:10000-10002 udp:127.0.0.1:9000-9005:7000-7005 map[k:v]
`

// describe is a world as text, without what differs from run to run.
func describe(w engine.World) string {
	var b strings.Builder
	for _, n := range w.Networks {
		describeNetwork(&b, n)
	}
	names := map[string]string{}
	for _, c := range w.Containers {
		names[c.ID] = c.Name
	}
	for _, c := range w.Containers {
		describeContainer(&b, c, names[c.Joins])
	}
	return b.String()
}

func describeNetwork(b *strings.Builder, n engine.Network) {
	fmt.Fprintf(b, "network %s %s", n.Name, strings.Replace(n.Bridge, "br-"+n.ID[:12], "BR", 1))
	for _, s := range n.Subnets {
		fmt.Fprintf(b, " %s", s.Prefix)
		field(b, s.Range.IsValid(), " within="+s.Range.String())
		field(b, s.Gateway.IsValid(), " gateway="+s.Gateway.String())
	}
	field(b, n.Internal, " internal")
	field(b, n.ICC, " icc")
	field(b, n.Masquerade, " masquerade")
	field(b, n.MasqueradeUnknown, " masquerade?")
	field(b, n.HostIP.IsValid(), " host="+n.HostIP.String())
	field(b, n.MTU != 0, fmt.Sprint(" mtu=", n.MTU))
	field(b, n.Labels != nil, fmt.Sprint(" ", n.Labels))
	field(b, n.Created.IsZero(), " without a time")
	b.WriteString("\n")
}

func describeContainer(b *strings.Builder, c engine.Container, joins string) {
	fmt.Fprintf(b, "container %s", c.Name)
	field(b, c.Running, " running")
	field(b, strings.HasPrefix(c.Netns, "/var/run/docker/netns/"), " netns")
	field(b, c.OnHost, " onhost")
	field(b, joins != "", " joins="+joins)
	for _, e := range c.Endpoints {
		fmt.Fprintf(b, " %s=", e.Network)
		for _, a := range e.Addresses {
			fmt.Fprintf(b, "%s,", a)
		}
		b.WriteString(e.MAC)
		field(b, e.Default, ",default")
	}
	for _, p := range c.Ports {
		fmt.Fprintf(b, " %s:%s:%d-%d:%d-%d", p.Proto, p.HostIP, p.HostPort, p.HostPortEnd, p.Port, p.PortEnd)
	}
	field(b, c.Labels != nil, fmt.Sprint(" ", c.Labels))
	field(b, c.Created.IsZero(), " without a time")
	b.WriteString("\n")
}

func field(b *strings.Builder, present bool, text string) {
	if present {
		b.WriteString(text)
	}
}

// expect is what a recording holds: 26.1 names the default network's gateway.
func expect(recording string) string {
	if recording == "26.1" {
		return strings.Replace(recorded, "172.17.0.0/16", "172.17.0.0/16 gateway=172.17.0.1", 1)
	}
	return recorded
}

func TestRead(t *testing.T) {
	for _, recording := range recordings {
		t.Run(recording, func(t *testing.T) {
			f := newFake(t, recording)
			w, err := Read(t.Context(), f.socket)
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(w); got != expect(recording) {
				t.Errorf("got\n%swant\n%s", got, expect(recording))
			}
		})
	}
}

// The list of containers stands in for inspections that take too long.
func TestReadWhileContainersStart(t *testing.T) {
	for _, recording := range recordings {
		t.Run(recording, func(t *testing.T) {
			f := newFake(t, recording)
			for path := range f.replies {
				if strings.HasPrefix(path, f.version+"/containers/") && strings.HasSuffix(path, "/json") {
					f.hold(path)
				}
			}
			w, err := Read(t.Context(), f.socket)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(expect(recording), " netns", "")
			if got := describe(w); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func TestReadWithoutDocker(t *testing.T) {
	f := newFake(t, "20.10")
	f.stop()
	_, err := Read(t.Context(), f.socket)
	if want := "ask for /version: dial unix " + f.socket + ": connect: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	f.start()
	f.fail("/version", true)
	_, err = Read(t.Context(), f.socket)
	if want := "ask for /version: something is wrong"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
