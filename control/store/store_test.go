package store

import (
	"errors"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func update(t testing.TB, s *Store, fn func(*Tx) error) {
	t.Helper()
	if err := s.Update(fn); err != nil {
		t.Fatal(err)
	}
}

func state(t testing.TB, s *Store) State {
	t.Helper()
	st, err := s.State()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// full has every field of every type set, so that none is forgotten on disk.
func full() State {
	return State{
		Networks: []Network{{
			Name: "default", ID: NewID(), Index: 1, Driver: "bridge", Owner: "ebnet",
			Subnets: []Subnet{{
				Prefix: netip.MustParsePrefix("172.18.0.0/16"), Gateway: netip.MustParseAddr("172.18.0.1"),
				Range: netip.MustParsePrefix("172.18.4.0/24"), Cursor: netip.MustParseAddr("172.18.4.9"),
				Reserved:    []netip.Addr{netip.MustParseAddr("172.18.0.7")},
				AddsGateway: true,
			}},
			Bridge: "ebnet0", BridgeMAC: "02:42:ac:12:00:01", OwnsBridge: true, MTU: 1450, Internal: true, ICC: true, Masquerade: true,
			HostIP:  netip.MustParseAddr("127.0.0.1"),
			Options: map[string]string{"o": "1"}, Labels: map[string]string{"l": "2"},
			Created: time.Unix(1700000000, 5).UTC(),
		}},
		Sandboxes: []Sandbox{{
			Name: "web", ID: NewID(), Owner: "ebnet", Netns: "/run/netns/ebnet-web",
			DNS: []netip.Addr{netip.MustParseAddr("9.9.9.9")}, Labels: map[string]string{"l": "3"},
			Attachments: []Attachment{{
				Network: "default", Interface: "eth0",
				Addresses: []netip.Prefix{netip.MustParsePrefix("172.18.0.2/16"), netip.MustParsePrefix("fd00::2/64")},
				MAC:       "02:42:ac:12:00:02", HostInterface: "eb0123456789a", HostMAC: "02:00:00:00:00:01",
			}},
			Way: "default", Allow: []PortAllow{{
				Proto: "tcp", HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 8080, Port: 80,
				Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			}},
			Process: &Process{PID: 42, Start: 1 << 60, Boot: "b"},
			Created: time.Unix(1700000001, 5).UTC(),
		}},
		Publishes: []Publish{{
			Proto: "tcp", HostIP: netip.MustParseAddr("0.0.0.0"), HostPort: 8000, HostPortEnd: 8010,
			Sandbox: "web", Network: "default", Port: 80, PortEnd: 90,
			Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Owner: "ebnet",
		}},
		Lists: []SourceList{{
			Proto: "udp", HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 53, HostPortEnd: 54, Owner: "docker",
			Container: NewID(), Port: 5353, Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		}},
	}
}

func putAll(st State) func(*Tx) error {
	return func(tx *Tx) error {
		for _, n := range st.Networks {
			if err := tx.PutNetwork(n); err != nil {
				return err
			}
		}
		for _, s := range st.Sandboxes {
			if err := tx.PutSandbox(s); err != nil {
				return err
			}
		}
		for _, p := range st.Publishes {
			if err := tx.PutPublish(p); err != nil {
				return err
			}
		}
		for _, l := range st.Lists {
			if err := tx.PutList(l); err != nil {
				return err
			}
		}
		return nil
	}
}

// noZero fails for a field of v, at any depth, that has its zero value.
func noZero(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is not set, so this test says nothing of it", path)
	}
	switch {
	case v.Kind() == reflect.Pointer:
		noZero(t, path, v.Elem())
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			noZero(t, path, v.Index(i))
		}
	case v.Kind() == reflect.Struct && v.Type().PkgPath() == reflect.TypeFor[State]().PkgPath():
		for i := range v.NumField() {
			noZero(t, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "ebnet.db")
	want := full()
	noZero(t, "State", reflect.ValueOf(want))
	s := open(t, path)
	update(t, s, putAll(want))
	update(t, s, func(tx *Tx) error { return tx.PutValue("sysctl", map[string]string{"a": "b"}) })
	id := s.ID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if s.ID() != id || len(id) != 64 {
		t.Errorf("instance ID was %q, is %q", id, s.ID())
	}
	if got := state(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("stored\n%+v\nread\n%+v", want, got)
	}
	err := s.View(func(tx *Tx) error {
		n, err := tx.Network("default")
		if err != nil || !reflect.DeepEqual(n, want.Networks[0]) {
			t.Errorf("Network = %+v, %v", n, err)
		}
		sb, err := tx.Sandbox("web")
		if err != nil || !reflect.DeepEqual(sb, want.Sandboxes[0]) {
			t.Errorf("Sandbox = %+v, %v", sb, err)
		}
		p, err := tx.Publish(want.Publishes[0].Key())
		if err != nil || !reflect.DeepEqual(p, want.Publishes[0]) {
			t.Errorf("Publish = %+v, %v", p, err)
		}
		var v map[string]string
		if err := tx.Value("sysctl", &v); err != nil || v["a"] != "b" {
			t.Errorf("Value = %v, %v", v, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEmpty(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ebnet.db"))
	if got := state(t, s); got.Networks == nil || got.Sandboxes == nil || got.Publishes == nil {
		t.Errorf("%+v: lists must be empty, not nil", got)
	}
	err := s.View(func(tx *Tx) error {
		_, network := tx.Network("x")
		_, sandbox := tx.Sandbox("x")
		_, publish := tx.Publish(PublishKey{})
		for _, err := range []error{network, sandbox, publish, tx.Value("x", nil)} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%v, want ErrNotFound", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSortedAndDeleted(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ebnet.db"))
	all := netip.MustParseAddr("0.0.0.0")
	update(t, s, func(tx *Tx) error {
		for _, port := range []uint16{8000, 80, 9, 65535} {
			if err := tx.PutPublish(Publish{Proto: "tcp", HostIP: all, HostPort: port}); err != nil {
				return err
			}
		}
		for _, name := range []string{"b", "c", "a"} {
			if err := errors.Join(tx.PutSandbox(Sandbox{Name: name}), tx.PutNetwork(Network{Name: name})); err != nil {
				return err
			}
		}
		return nil
	})
	update(t, s, func(tx *Tx) error {
		return errors.Join(tx.DeleteSandbox("b"), tx.DeleteSandbox("none"), tx.DeleteNetwork("c"),
			tx.DeletePublish(PublishKey{"tcp", all, 80}), tx.DeleteValue("none"))
	})
	st := state(t, s)
	var ports []uint16
	for _, p := range st.Publishes {
		ports = append(ports, p.HostPort)
	}
	if !reflect.DeepEqual(ports, []uint16{9, 8000, 65535}) {
		t.Errorf("ports %v", ports)
	}
	if len(st.Sandboxes) != 2 || st.Sandboxes[0].Name != "a" || st.Sandboxes[1].Name != "c" {
		t.Errorf("sandboxes %+v", st.Sandboxes)
	}
	if len(st.Networks) != 2 || st.Networks[1].Name != "b" {
		t.Errorf("networks %+v", st.Networks)
	}
}

func TestAllOrNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "ebnet.db"))
	want := full()
	update(t, s, putAll(want))
	broken := errors.New("broken")
	other := func(tx *Tx) error {
		return errors.Join(tx.PutNetwork(Network{Name: "other"}), tx.DeleteSandbox("web"), tx.PutNetwork(Network{Name: "default"}))
	}
	if err := s.Update(func(tx *Tx) error { return errors.Join(other(tx), broken) }); !errors.Is(err, broken) {
		t.Errorf("Update = %v, want the function's own error", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = s.Update(func(tx *Tx) error { _ = other(tx); panic("half way") })
	}()
	if err := s.View(other); err == nil {
		t.Error("View writes")
	}
	if got := state(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("after three that were undone:\n%+v\nwant\n%+v", got, want)
	}
}

// TestNoLists: a store, like all of earlier versions, has no bucket for source lists until
// there is one.
func TestNoLists(t *testing.T) {
	s, want := open(t, filepath.Join(t.TempDir(), "ebnet.db")), full()
	lists := want.Lists
	want.Lists = []SourceList{}
	update(t, s, putAll(want))
	if got := state(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("stored\n%+v\nread\n%+v", want, got)
	}
	update(t, s, func(tx *Tx) error { return tx.DeleteList(lists[0].Key()) })
	update(t, s, func(tx *Tx) error { return tx.PutList(lists[0]) })
	if got := state(t, s).Lists; !reflect.DeepEqual(got, lists) {
		t.Errorf("stored\n%+v\nread\n%+v", lists, got)
	}
	update(t, s, func(tx *Tx) error { return tx.DeleteList(lists[0].Key()) })
	if got := state(t, s).Lists; len(got) > 0 {
		t.Errorf("deleted, but %+v", got)
	}
}
