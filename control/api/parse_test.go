package api

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParsePublish(t *testing.T) {
	addr := netip.MustParseAddr
	for text, want := range map[string]PublishSpec{
		"8080:80":                     {HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "tcp"},
		"8080:80/udp":                 {HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "udp"},
		"8080:80/SCTP":                {HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "sctp"},
		"80":                          {Port: 80, PortEnd: 80, Proto: "tcp"},
		":80":                         {Port: 80, PortEnd: 80, Proto: "tcp"},
		"0:80":                        {Port: 80, PortEnd: 80, Proto: "tcp"},
		"0:80-85":                     {Port: 80, PortEnd: 85, Proto: "tcp"},
		"8000-8010:9000-9010/udp":     {HostPort: 8000, HostPortEnd: 8010, Port: 9000, PortEnd: 9010, Proto: "udp"},
		"127.0.0.1:8080:80":           {HostIP: addr("127.0.0.1"), HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "tcp"},
		"127.0.0.1::80":               {HostIP: addr("127.0.0.1"), Port: 80, PortEnd: 80, Proto: "tcp"},
		"0.0.0.0:1:65535":             {HostIP: addr("0.0.0.0"), HostPort: 1, HostPortEnd: 1, Port: 65535, PortEnd: 65535, Proto: "tcp"},
		"[::1]:8080:80":               {HostIP: addr("::1"), HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "tcp"},
		"[::1]::80":                   {HostIP: addr("::1"), Port: 80, PortEnd: 80, Proto: "tcp"},
		"[::ffff:192.0.2.1]:8080:80":  {HostIP: addr("192.0.2.1"), HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "tcp"},
		"[2001:db8::1]:1-2:3-4/udp":   {HostIP: addr("2001:db8::1"), HostPort: 1, HostPortEnd: 2, Port: 3, PortEnd: 4, Proto: "udp"},
		"1-65535:1-65535":             {HostPort: 1, HostPortEnd: 65535, Port: 1, PortEnd: 65535, Proto: "tcp"},
		"8080-8080:80":                {HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "tcp"},
		"192.0.2.1:08080:00080":       {HostIP: addr("192.0.2.1"), HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "tcp"},
		"255.255.255.255:8080:80/tcp": {HostIP: addr("255.255.255.255"), HostPort: 8080, HostPortEnd: 8080, Port: 80, PortEnd: 80, Proto: "tcp"},
	} {
		if got, err := ParsePublish(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestParsePublishErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "it is empty: write HOSTPORT:PORT",
		"8080:":                  "the container port is missing: write HOSTPORT:PORT",
		":":                      "the container port is missing: write HOSTPORT:PORT",
		"/tcp":                   "the container port is missing: write HOSTPORT:PORT",
		"8080:80/":               "the protocol behind the slash is missing: use tcp, udp or sctp",
		"8080:80/icmp":           `unknown protocol "icmp": use tcp, udp or sctp`,
		"8080:80/tcp/udp":        `unknown protocol "tcp/udp": use tcp, udp or sctp`,
		"8080:65536":             "container port 65536 is out of range (1 to 65535)",
		"8080:0":                 "container port 0 is out of range (1 to 65535)",
		"70000:80":               "host port 70000 is out of range (1 to 65535)",
		"-1:80":                  "a host port is missing",
		"8080:80-":               "a container port is missing",
		"8080:http":              `container port "http" is not a number`,
		"8080:+80":               `container port "+80" is not a number`,
		"8080 :80":               `host port "8080 " is not a number`,
		"8010-8000:80-90":        "the range 8010-8000 is reversed: write 8000-8010",
		"8000-8010:90-80":        "the range 90-80 is reversed: write 80-90",
		"8000-8010:80-85":        "the ranges differ in length: 8000-8010 on the host (11), 80-85 in the container (6)",
		"8000-8010:80":           "the ranges differ in length: 8000-8010 on the host (11), 80 in the container (1)",
		"8000:80-85":             "the ranges differ in length: 8000 on the host (1), 80-85 in the container (6)",
		"0-5:80-85":              "host port 0 is out of range (1 to 65535)",
		"localhost:8080:80":      `bad host address "localhost": not an IP address`,
		"192.0.2.256:8080:80":    `bad host address "192.0.2.256": not an IP address`,
		"::1:8080:80":            "an IPv6 host address stands in brackets: [::1]",
		"a:b:8080:80":            "too many colons: write [HOSTIP:]HOSTPORT:PORT",
		"[::1:8080:80":           "the bracket of the host address is not closed",
		"[::1]:80":               `the host port behind "[::1]" is missing: write [HOSTIP]:HOSTPORT`,
		"[::1]8080:80":           `the host port behind "[::1]" is missing: write [HOSTIP]:HOSTPORT`,
		"[::1]":                  "the ports are missing: write [HOSTIP]:HOSTPORT:PORT",
		"[192.0.2.1]:8080:80":    `bad host address "[192.0.2.1]": not an IPv6 address`,
		"[]:8080:80":             `bad host address "[]": not an IPv6 address`,
		"::80":                   "the host address in front of the colon is missing",
		"[fe80::1%eth0]:8080:80": `bad host address "fe80::1%eth0": it names an interface, which ebnet does not support`,
		"8080:80\nx":             `container port "80\nx" is not a number`,
	} {
		checkError(t, text, `bad port `+quote(text)+`: `+want, func() error { _, err := ParsePublish(text); return err })
	}
}

func TestParseHostSpec(t *testing.T) {
	addr := netip.MustParseAddr
	for text, want := range map[string]HostSpec{
		"8080":               {HostPort: 8080, HostPortEnd: 8080, Proto: "tcp"},
		"127.0.0.1:8080/udp": {HostIP: addr("127.0.0.1"), HostPort: 8080, HostPortEnd: 8080, Proto: "udp"},
		"8000-8010":          {HostPort: 8000, HostPortEnd: 8010, Proto: "tcp"},
		"[::1]:8080":         {HostIP: addr("::1"), HostPort: 8080, HostPortEnd: 8080, Proto: "tcp"},
	} {
		if got, err := ParseHostSpec(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"0":           "host port 0 is out of range (1 to 65535)",
		"65536":       "host port 65536 is out of range (1 to 65535)",
		"9-8":         "the range 9-8 is reversed: write 8-9",
		"127.0.0.1:":  "the host port is missing: write [HOSTIP:]HOSTPORT[-END][/PROTO]",
		"8080:80":     `bad host address "8080": not an IP address`,
		"[::1]":       `the host port behind "[::1]" is missing: write [HOSTIP]:HOSTPORT`,
		"8080/sctp6":  `unknown protocol "sctp6": use tcp, udp or sctp`,
		"8080-8081-1": `host port "8081-1" is not a number`,
	} {
		checkError(t, text, `bad port `+quote(text)+`: `+want, func() error { _, err := ParseHostSpec(text); return err })
	}
}

func TestParseAttachment(t *testing.T) {
	ip := netip.MustParseAddr("172.18.0.9")
	mac := "02:42:ac:12:00:09"
	for text, want := range map[string]Attachment{
		"blue":                           {Network: "blue"},
		"none":                           {Network: "none"},
		"blue,ip=172.18.0.9":             {Network: "blue", IP: ip},
		"blue,ip=172.18.0.9,mac=" + mac:  {Network: "blue", IP: ip, MAC: mac},
		"name=blue,ip=172.18.0.9":        {Network: "blue", IP: ip},
		"ip=172.18.0.9,name=blue":        {Network: "blue", IP: ip},
		"name=blue":                      {Network: "blue"},
		"blue:ip=172.18.0.9":             {Network: "blue", IP: ip},
		"blue:ip=172.18.0.9,mac=" + mac:  {Network: "blue", IP: ip, MAC: mac},
		"blue:mac=02-42-AC-12-00-09":     {Network: "blue", MAC: mac},
		"blue,ip=::ffff:172.18.0.9":      {Network: "blue", IP: ip},
		"name=blue,mac-address=" + mac:   {Network: "blue", MAC: mac},
		"blue,ip=fd00::1":                {Network: "blue", IP6: netip.MustParseAddr("fd00::1")},
		"blue,ip6=fd00::1,ip=172.18.0.9": {Network: "blue", IP: ip, IP6: netip.MustParseAddr("fd00::1")},
	} {
		if got, err := ParseAttachment(text); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                                 `bad name "": it is empty`,
		"ip=172.18.0.9":                    `bad name "": it is empty`,
		"blue,":                            `nothing stands behind ","`,
		"container:web":                    `option "web" has no value: write KEY=VALUE`,
		"blue,ip=web":                      `ip "web" is not an IP address`,
		"blue,ip=1.1.1.1,ip=2.2.2.2":       "two addresses: 1.1.1.1 and 2.2.2.2",
		"blue,name=red":                    `two names: "blue" and "red"`,
		"blue,mac=1":                       `mac "1" is not a MAC address such as 02:42:ac:12:00:02`,
		"blue,mac=01:00:5e:00:00:01":       "mac 01:00:5e:00:00:01 is not the address of one interface",
		"blue,mac=00:00:00:00:00:00":       "mac 00:00:00:00:00:00 is not the address of one interface",
		"blue,driver=x":                    `unknown option "driver": use ip, ip6 or mac`,
		"blue,ip6=1.1.1.1":                 `ip6 "1.1.1.1" is not an IPv6 address`,
		"blue,ip=fd00::1,ip6=fd00::2":      "two addresses: fd00::1 and fd00::2",
		"bl ue":                            `bad name "bl ue": use a-z, A-Z, 0-9 and _.-, the first a letter or digit`,
		"blue,mac=02:42:ac:12:00:02:00:00": `mac "02:42:ac:12:00:02:00:00" is not a MAC address such as 02:42:ac:12:00:02`,
	} {
		checkError(t, text, `bad network `+quote(text)+`: `+want, func() error { _, err := ParseAttachment(text); return err })
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "9", "web", "Web_1.a-b", strings.Repeat("x", MaxName)} {
		if err := ValidName(name); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]string{
		"":                      `bad name "": it is empty`,
		"-web":                  `bad name "-web": use a-z, A-Z, 0-9 and _.-, the first a letter or digit`,
		".":                     `bad name ".": use a-z, A-Z, 0-9 and _.-, the first a letter or digit`,
		"wéb":                   `bad name "wéb": use a-z, A-Z, 0-9 and _.-, the first a letter or digit`,
		"we\nb":                 `bad name "we\nb": use a-z, A-Z, 0-9 and _.-, the first a letter or digit`,
		strings.Repeat("x", 49): `name "` + strings.Repeat("x", 49) + `" is too long: 49 characters, 48 are allowed`,
	} {
		checkError(t, name, want, func() error { return ValidName(name) })
	}
	for _, ref := range []string{"docker/web", "docker/" + strings.Repeat("x", 100)} {
		if err := ValidRef(ref); err != nil {
			t.Error(err)
		}
		if err := ValidName(ref); !errors.Is(err, ErrUnprocessable) || !strings.Contains(err.Error(), `leave out "docker/"`) {
			t.Errorf("%q for a new thing: %v", ref, err)
		}
	}
	for _, ref := range []string{"", "/", "docker/", "/web", "a/b/c", ".."} {
		if ValidRef(ref) == nil {
			t.Errorf("%q passes as a reference", ref)
		}
	}
}

func checkError(t *testing.T, input, want string, parse func() error) {
	t.Helper()
	err := parse()
	if err == nil || err.Error() != want || !errors.Is(err, ErrBadRequest) {
		t.Errorf("%q: got %v, want %s", input, err, want)
	}
}

func FuzzParsePublish(f *testing.F) {
	for _, text := range []string{"8080:80", "[::1]:8000-8010:80-90/udp", "127.0.0.1::80/sctp", ":80", "a:b:c", "[", "1-:2", "[::ffff:1.2.3.4]:0:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := ParsePublish(text)
		if err != nil {
			oneLine(t, err)
			return
		}
		if spec.Port == 0 || spec.PortEnd < spec.Port || spec.HostPortEnd < spec.HostPort {
			t.Errorf("%q: impossible %+v", text, spec)
		}
		if spec.HostPort != 0 && spec.HostPortEnd-spec.HostPort != spec.PortEnd-spec.Port {
			t.Errorf("%q: uneven %+v", text, spec)
		}
		if again, err := ParsePublish(spec.String()); err != nil || again != spec {
			t.Errorf("%q: %+v prints as %s, which is %+v, %v", text, spec, spec, again, err)
		}
	})
}

func FuzzParseHostSpec(f *testing.F) {
	for _, text := range []string{"8080", "[::1]:8000-8010/udp", "127.0.0.1:80/sctp", ":80", "[", "0", "1-"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := ParseHostSpec(text)
		if err != nil {
			oneLine(t, err)
			return
		}
		if spec.HostPort == 0 || spec.HostPortEnd < spec.HostPort {
			t.Errorf("%q: impossible %+v", text, spec)
		}
		if again, err := ParseHostSpec(spec.String()); err != nil || again != spec {
			t.Errorf("%q: %+v prints as %s, which is %+v, %v", text, spec, spec, again, err)
		}
	})
}

func FuzzParseAttachment(f *testing.F) {
	for _, text := range []string{"blue", "blue,ip=1.2.3.4", "name=blue,ip=::1", "blue:mac=02:42:00:00:00:01", ",", "=", "a,=", "a:b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		attachment, err := ParseAttachment(text)
		if err != nil {
			oneLine(t, err)
			return
		}
		if ValidName(attachment.Network) != nil {
			t.Errorf("%q: bad name in %+v", text, attachment)
		}
	})
}

// oneLine holds that an error fits one line of a terminal, whatever the input.
func oneLine(t *testing.T, err error) {
	t.Helper()
	for _, c := range err.Error() {
		if c < ' ' || c == 0x7f {
			t.Errorf("%q has control characters", err)
		}
	}
	if len(err.Error()) > 12*maxShown {
		t.Errorf("%q is too long for one line", err)
	}
}
