package loader

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseMounts(t *testing.T) {
	have, err := parseMounts(strings.NewReader(`
38 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
39 31 0:39 /a\040b /mnt/c\134d rw shared:1 master:2 - bpf ebnet rw
broken
`))
	must(t, err)
	want := []mount{
		{"/", "/sys/fs/cgroup/unified", "cgroup2", "cgroup2"},
		{"/a b", `/mnt/c\d`, "bpf", "ebnet"},
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
}

func TestTCXPin(t *testing.T) {
	for _, d := range directions() {
		have, ifindex, ok := parseTCXPin(tcxPin(d, 12))
		if have != d || ifindex != 12 || !ok {
			t.Errorf("%s came back as %v %d %v", tcxPin(d, 12), have, ifindex, ok)
		}
	}
	for _, name := range []string{"", "tcx-ingress-", "tcx-ingress-0", "tcx-ingress-01", "tcx-ingress--1", "tcx-both-1", "cgroup-connect4"} {
		if _, _, ok := parseTCXPin(name); ok {
			t.Errorf("%q was taken for a pin", name)
		}
	}
}

func TestParseMode(t *testing.T) {
	for _, m := range []Mode{ModeAuto, ModeTCX, ModeClsact} {
		if have, err := ParseMode(m.String()); have != m || err != nil {
			t.Errorf("%s came back as %v, %v", m, have, err)
		}
	}
	if _, err := ParseMode("xdp"); err == nil {
		t.Error("xdp was taken for a mode")
	}
}
