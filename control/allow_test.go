package control

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/ebnet/ebnet/control/api"
)

func TestAllow(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	if err := createSandbox("web", nil, "8080:80", "8081:81")(a); err != nil {
		t.Fatal(err)
	}
	const spec = `{"spec":{"host_port":8080,"host_port_end":8080,"proto":"tcp"},`
	serveRows(t, a, []serverRow{
		{"PATCH /v1/publishes/allow", spec + `"add":["192.0.2.0/24"]}`, 422, `allow 8080/tcp: anyone may connect: \"--set\" lets only some`},
		{"PATCH /v1/publishes/allow", spec + `"remove":["192.0.2.0/24"]}`, 422, `anyone may connect`},
		{"PATCH /v1/publishes/allow", spec + `"set":["192.0.2.9/24","192.0.2.0/24"]}`, 200, `"allow": [
      "192.0.2.0/24"
    ]`},
		{"PATCH /v1/publishes/allow", spec + `"add":["198.51.100.7/32"]}`, 200, `"198.51.100.7/32"`},
		{"PATCH /v1/publishes/allow", spec + `"remove":["203.0.113.0/24"]}`, 404, `203.0.113.0/24 is not in the list`},
		{"PATCH /v1/publishes/allow", spec + `"remove":["192.0.2.0/24","198.51.100.7/32"]}`, 422, `nobody would be left in the list`},
		{"PATCH /v1/publishes/allow", spec + `"set":[""]}`, 400, `a source is empty`},
		{"PATCH /v1/publishes/allow", spec + `"any":true,"set":["10.0.0.0/8"]}`, 400, `give one of`},
		{"PATCH /v1/publishes/allow", `{"spec":{"host_port":8080,"host_port_end":8081,"proto":"tcp"},"add":["10.0.0.0/8"]}`, 422, `anyone may connect`},
		{"PATCH /v1/publishes/allow", `{"spec":{"host_port":8089,"host_port_end":8089,"proto":"tcp"},"any":true}`, 404, `nothing is published there`},
	})
	if got, want := w.lists(a), "8080 [192.0.2.0/24 198.51.100.7/32] 8081 [] "; got != want {
		t.Errorf("lists %s, want %s", got, want)
	}
	serveRows(t, a, []serverRow{
		{"PATCH /v1/publishes/allow", spec + `"remove":["192.0.2.0/24"]}`, 200, `"198.51.100.7/32"`},
		{"POST /v1/publishes", `{"spec":{"host_port":9,"host_port_end":9,"port":9,"port_end":9,"proto":"tcp"},"allow":["::ffff:10.1.2.3/104","0.0.0.0/0"]}`, 201, `"10.0.0.0/8"`},
		{"POST /v1/publishes", `{"spec":{"host_port":10,"host_port_end":10,"port":9,"port_end":9,"proto":"tcp"},"allow":[""]}`, 400, `a source is empty`},
	})
	want := "8080 [198.51.100.7/32] 8081 [] 9 [0.0.0.0/0 10.0.0.0/8] "
	if got := w.lists(a); got != want {
		t.Errorf("lists %s, want %s", got, want)
	}
	if got := w.lists(w.agent()); got != want {
		t.Errorf("after a restart %s, want %s", got, want)
	}
}

// lists shows the source lists that the datapath has.
func (w *world) lists(a *Agent) (out string) {
	for _, port := range []uint16{8080, 8081, 9, 10} {
		for key, slot := range a.live.publishes {
			if key.HostPort == port {
				out += fmt.Sprintf("%d %v ", port, w.allowed[slot])
			}
		}
	}
	return out
}

// Thousands of sources are one change.
func TestAllowThousands(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	var list []netip.Prefix
	for i := range 10_000 {
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1}), 32))
	}
	err := all(createSandbox("web", nil), publish(api.PublishCreate{Spec: spec("80:80"), Allow: list}))(a)
	if err != nil {
		t.Fatal(err)
	}
	w.arm(0, false)
	if err := allow(api.AllowChange{Spec: hostSpec("80"), Remove: list[:5000]})(a); err != nil {
		t.Fatal(err)
	}
	if len(w.calls) != 2 { // the store and the list
		t.Errorf("took %q", w.calls)
	}
	for _, got := range w.allowed {
		if len(got) != 5000 {
			t.Errorf("%d sources left", len(got))
		}
	}
}
