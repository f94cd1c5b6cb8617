package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
)

// TestRequests holds what command lines ask of the agent.
func TestRequests(t *testing.T) {
	var asked []string
	socket := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = append(asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+string(body)))
		_, _ = w.Write([]byte("null"))
	}))
	const create, sandbox, publish, allow = "POST /v1/networks ", "POST /v1/sandboxes ", "POST /v1/publishes ", "PATCH /v1/publishes/allow "
	const web = `{"spec":{"host_port":8080,"host_port_end":8080,"port":80,"port_end":80,"proto":"tcp"}`
	const at8080 = `{"spec":{"host_port":8080,"host_port_end":8080,"proto":"tcp"}`
	for line, want := range map[string]string{
		"network create blue":                                    create + `{"name":"blue","driver":"bridge"}`,
		"network create blue -d none":                            create + `{"name":"blue","driver":"none"}`,
		"network create blue --subnet 10.7.9.9/16":               create + `{"name":"blue","driver":"bridge","subnets":["10.7.9.9/16"]}`,
		"network create --subnet 10.7.0.0/16,fd00::/64 blue":     create + `{"name":"blue","driver":"bridge","subnets":["10.7.0.0/16","fd00::/64"]}`,
		"network create --ipv6 --ipv4=false blue":                create + `{"name":"blue","driver":"bridge","ipv6":true,"no_ipv4":true}`,
		"network create blue --subnet 10.7.0.0/16 --subnet ::/8": create + `{"name":"blue","driver":"bridge","subnets":["10.7.0.0/16","::/8"]}`,
		"network create blue --gateway 10.7.0.9":                 create + `{"name":"blue","driver":"bridge","gateways":["10.7.0.9"]}`,
		"network create blue --subnet 10.7.0.0/16 --ip-range 10.7.1.0/24": create +
			`{"name":"blue","driver":"bridge","subnets":["10.7.0.0/16"],"ip_ranges":["10.7.1.0/24"]}`,
		"network create blue --ipv6":                create + `{"name":"blue","driver":"bridge","ipv6":true}`,
		"network create blue --bridge br7":          create + `{"name":"blue","driver":"bridge","bridge":"br7"}`,
		"network create blue --mtu 1400":            create + `{"name":"blue","driver":"bridge","mtu":1400}`,
		"network create blue --internal":            create + `{"name":"blue","driver":"bridge","internal":true}`,
		"network create blue --no-icc":              create + `{"name":"blue","driver":"bridge","no_icc":true}`,
		"network create blue --no-masquerade":       create + `{"name":"blue","driver":"bridge","no_masquerade":true}`,
		"network create blue --host-ip 192.0.2.1":   create + `{"name":"blue","driver":"bridge","host_ip":"192.0.2.1"}`,
		"network create blue --label a=b --label c": create + `{"name":"blue","driver":"bridge","labels":{"a":"b","c":""}}`,
		"network create blue --opt " + api.OptionICC + "=false --opt " + api.OptionMTU + "=1400": create +
			`{"name":"blue","driver":"bridge","options":{"com.docker.network.bridge.enable_icc":"false","com.docker.network.driver.mtu":"1400"}}`,

		"network rm blue":             "DELETE /v1/networks/blue",
		"network rm docker/blue":      "DELETE /v1/networks/docker/blue",
		"network rm blue green":       "DELETE /v1/networks/blue\nDELETE /v1/networks/green",
		"network connect blue web":    `POST /v1/networks/blue/connect {"sandbox":"web"}`,
		"network disconnect blue web": `POST /v1/networks/blue/disconnect {"sandbox":"web"}`,

		"network connect --ip 10.7.0.9 --mac 02-42-0A-07-00-09 blue web": `POST /v1/networks/blue/connect {"sandbox":"web","ip":"10.7.0.9","mac":"02:42:0a:07:00:09"}`,
		"network connect --ip 10.7.0.9 --ip6 fd00::9 blue web":           `POST /v1/networks/blue/connect {"sandbox":"web","ip":"10.7.0.9","ip6":"fd00::9"}`,
		"network connect blue web --mac-address 02:42:0a:07:00:09":       `POST /v1/networks/blue/connect {"sandbox":"web","mac":"02:42:0a:07:00:09"}`,

		"sandbox create web --network blue --network default": sandbox + `{"name":"web","networks":[{"network":"blue"},{"network":"default"}]}`,
		"sandbox create web --net blue,ip=10.7.0.9,mac=02:42:0a:07:00:09 --network name=red,ip=10.8.0.9 --net green:ip=10.9.0.9": sandbox +
			`{"name":"web","networks":[{"network":"blue","ip":"10.7.0.9","mac":"02:42:0a:07:00:09"},` +
			`{"network":"red","ip":"10.8.0.9"},{"network":"green","ip":"10.9.0.9"}]}`,

		"sandbox create web --network blue,ip=10.7.0.9,ip6=fd00::9 --network red,ip=fd00::8": sandbox +
			`{"name":"web","networks":[{"network":"blue","ip":"10.7.0.9","ip6":"fd00::9"},{"network":"red","ip6":"fd00::8"}]}`,

		"publish [::1]:8080:80 --to web": publish + `{"spec":{"host_ip":"::1","host_port":8080,"host_port_end":8080,"port":80,"port_end":80,"proto":"tcp"},"sandbox":"web"}`,

		"publish 8080:80 --to web --network blue":                  publish + web + `,"sandbox":"web","network":"blue"}`,
		"publish 8080:80 --net blue":                               publish + web + `,"network":"blue"}`,
		"publish 8080:80 --allow 192.0.2.1,10.1.2.3/8 --allow ::1": publish + web + `,"allow":["192.0.2.1/32","10.0.0.0/8","::1/128"]}`,

		"allow 8080 --add 192.0.2.1":                    allow + at8080 + `,"add":["192.0.2.1/32"]}`,
		"allow 8080 --remove 10.0.0.0/8 --remove ::/0":  allow + at8080 + `,"remove":["10.0.0.0/8","::/0"]}`,
		"allow 8080 --set 10.0.0.0/8,192.0.2.1 1.1.1.1": allow + at8080 + `,"set":["10.0.0.0/8","192.0.2.1/32","1.1.1.1/32"]}`,
		"allow 127.0.0.1:53-54/udp --any":               allow + `{"spec":{"host_ip":"127.0.0.1","host_port":53,"host_port_end":54,"proto":"udp"},"any":true}`,
	} {
		asked = nil
		if got := call(t, socket, 0, strings.Fields(line)...); got.status != 0 {
			t.Errorf("ebnet %s: %d %s", line, got.status, got.stderr)
		}
		if got := strings.Join(asked, "\n"); got != want {
			t.Errorf("ebnet %s: asked\n%s\nwant\n%s", line, got, want)
		}
	}
}

func TestCompletion(t *testing.T) {
	agent, none := serve(t, fakeAgent()), socketPath(t)
	for line, want := range map[string]string{
		"network inspect ":              "default blue green",
		"network rm blue ":              "default blue green",
		"network connect ":              "default blue green",
		"network connect blue ":         "db web",
		"network connect blue web ":     "",
		"network disconnect ":           "default blue green",
		"network disconnect blue ":      "app",
		"network disconnect nowhere ":   "",
		"network disconnect blue app ":  "",
		"network create --driver ":      "bridge none",
		"sandbox create web --network ": "default blue green",
		"run --net ":                    "default blue green",
		"publish 8080:80 --network ":    "default blue green",
		"publish 8080:80 --to ":         "db web",
	} {
		words := strings.Split("__complete "+line, " ")
		got := strings.Fields(call(t, agent, 0, words...).stdout)
		if n := len(got); n == 0 || got[n-1] != ":4" || strings.Join(got[:n-1], " ") != want { // :4 is "no files"
			t.Errorf("%q: completes to %q, want %q", line, got, want)
		}
		if got := call(t, none, 0, words...); got.status != 0 {
			t.Errorf("%q: without an agent %d %s", line, got.status, got.stderr)
		}
	}
}
