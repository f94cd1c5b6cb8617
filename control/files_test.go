package control

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

func TestResolvConf(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	stub := write("stub", "nameserver 127.0.0.53\noptions edns0\nsearch lan\n")
	real := write("real", "# comment\nnameserver 192.0.2.1\nnameserver ::1\nnameserver 2001:db8::1\nnameserver fe80::1%eth0\nbogus\nsearch example lan\n")
	missing := filepath.Join(dir, "missing")
	for name, row := range map[string]struct {
		paths []string
		dns   []netip.Addr
		of    []family
		want  string
	}{
		"plain":         {[]string{real, stub}, nil, families[:], "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example lan\n"},
		"loopback only": {[]string{stub, real}, nil, families[:], "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example lan\n"},
		"none at all":   {[]string{missing, stub, missing}, nil, families[:], "options edns0\nsearch lan\n"},
		"chosen":        {[]string{real}, []netip.Addr{netip.MustParseAddr("203.0.113.1")}, []family{ipv6}, "nameserver 203.0.113.1\nsearch example lan\n"},
		"IPv4 alone":    {[]string{real}, nil, []family{ipv4}, "nameserver 192.0.2.1\nsearch example lan\n"},
		"IPv6 alone":    {[]string{real}, nil, []family{ipv6}, "nameserver 2001:db8::1\nsearch example lan\n"},
		"lo alone":      {[]string{real}, nil, nil, "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch example lan\n"},
	} {
		_, got, _ := strings.Cut(string(resolvConf(row.paths, row.dns, row.of)), "\n") // behind the comment
		if got != row.want {
			t.Errorf("%s:\n%swant\n%s", name, got, row.want)
		}
	}
}

func TestRemoveResolvConfKeepsOthers(t *testing.T) {
	etc := t.TempDir()
	a := New(Options{NetnsEtc: etc, ResolvConf: []string{}})
	for _, name := range []string{"mine", "shared"} {
		if changed, err := a.writeResolvConf(store.Sandbox{Netns: name}); err != nil || !changed {
			t.Fatalf("write: %v, changed %v", err, changed)
		}
		if changed, err := a.writeResolvConf(store.Sandbox{Netns: name}); err != nil || changed {
			t.Fatalf("write again: %v, changed %v", err, changed)
		}
	}
	hosts := filepath.Join(etc, "shared", "hosts")
	if err := os.WriteFile(hosts, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mine", "shared", "never"} {
		if err := removeResolvConf(etc, name); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(etc, "mine")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an empty folder stayed")
	}
	if _, err := os.Stat(hosts); err != nil {
		t.Error("somebody else's file is gone")
	}
}

func TestNotifier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}
	n := newNotifier(func(key string) string { return env[key] })
	if n.watchdog != 2*time.Second {
		t.Errorf("watchdog %s", n.watchdog)
	}
	if err := n.send("READY=1"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	size, _, err := conn.ReadFrom(got)
	if err != nil || string(got[:size]) != "READY=1" {
		t.Errorf("got %q, %v", got[:size], err)
	}
	env["WATCHDOG_PID"] = "1"
	if n := newNotifier(func(key string) string { return env[key] }); n.watchdog != 0 {
		t.Error("another process's watchdog taken for ours")
	}
	if err := newNotifier(func(string) string { return "" }).send("READY=1"); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	first, err := listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := listen(path); err == nil || !strings.Contains(err.Error(), "another agent (pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("second agent: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as if it had been killed
	first.Close()
	second, err := listen(path)
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	second.Close()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(path); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("a file in its place: %v", err)
	}
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	first, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir); err == nil || !strings.Contains(err.Error(), "another agent uses it") {
		t.Errorf("second agent: %v", err)
	}
	first.Close()
	second, err := lockDir(dir)
	if err != nil {
		t.Fatalf("after the first agent: %v", err)
	}
	second.Close()
}

func TestReservedPorts(t *testing.T) {
	set := func(text string) netdev.PortSet {
		s, err := netdev.ParsePortSet(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	st, err := store.Open(filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	k := newFakeKernel()
	k.reserved = set("22,8080")
	for _, row := range []struct{ admin, want, get string }{
		{"", "8080,9000-9010", "22,8080,9000-9010"},
		{"", "9000-9005", "22,8080,9000-9005"},
		{"22,8080,9000-9005,7000", "9000-9005", "22,7000,8080,9000-9005"}, // the administrator adds one
		{"22,7000,9000-9005", "9000-9005", "22,7000,9000-9005"},           // and takes one away
		{"", "", "22,7000"},
	} {
		if row.admin != "" {
			k.reserved = set(row.admin)
		}
		if _, err := syncReservedPorts(fakeStore{st, k.injector}, k, set(row.want)); err != nil {
			t.Fatal(err)
		}
		if k.reserved != set(row.get) {
			t.Errorf("publishing %q: reserved %s, want %s", row.want, k.reserved, row.get)
		}
	}
}
