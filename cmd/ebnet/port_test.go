package main

import (
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
)

func TestPortShowsAllow(t *testing.T) {
	published := webSandbox().Published
	published[0].Allow = prefixes("192.0.2.0/24", "198.51.100.7/32")
	published[1].Allow = prefixes("10.0.0.0/24", "10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24", "10.5.0.0/24")
	published = append(published, api.Publish{Proto: "tcp", HostIP: "0.0.0.0", HostPort: 81, HostPortEnd: 81, Sandbox: "web", Port: 81, PortEnd: 81})
	for ofOne, want := range map[bool]string{
		false: "SANDBOX   PORT                               ALLOW\n" +
			"web       80/tcp -> 0.0.0.0:8080             192.0.2.0/24,198.51.100.7/32\n" +
			"web       9000-9010/udp -> [::1]:9000-9010   10.0.0.0/24,10.1.0.0/24,10.2.0.0/24,10.3.0.0/24 and 2 more\n" +
			"web       81/tcp -> 0.0.0.0:81               any\n",
		true: "80/tcp -> 0.0.0.0:8080             192.0.2.0/24,198.51.100.7/32\n" +
			"9000-9010/udp -> [::1]:9000-9010   10.0.0.0/24,10.1.0.0/24,10.2.0.0/24,10.3.0.0/24 and 2 more\n" +
			"81/tcp -> 0.0.0.0:81               any\n",
	} {
		var out strings.Builder
		if err := printPublishes(&out, formatTable, published, ofOne); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("of one sandbox %v: got\n%s\nwant\n%s", ofOne, &out, want)
		}
	}
}
