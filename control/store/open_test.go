package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
)

// filled returns a closed store with enough in it for several pages.
func filled(t testing.TB) (path string, st State) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "ebnet.db")
	s := open(t, path)
	st = full()
	for i := range 200 {
		sb := st.Sandboxes[0]
		sb.Name = fmt.Sprintf("web%03d", i)
		st.Sandboxes = append(st.Sandboxes, sb)
	}
	update(t, s, putAll(st))
	update(t, s, func(tx *Tx) error { return tx.DeleteSandbox("web100") }) // for a free list that is not empty
	st = state(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, st
}

// damaged opens a copy of the file with other content. It must be refused by
// name, or hold one of the given states.
func damaged(t *testing.T, what string, content []byte, valid ...State) (refused bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ebnet.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want ErrCorrupt naming the file", what, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: the refused file was changed (%v)", what, err)
		}
		return true
	}
	defer s.Close()
	got := state(t, s)
	for _, want := range valid {
		if reflect.DeepEqual(got, want) {
			return false
		}
	}
	t.Errorf("%s: opened with a state that never was", what)
	return false
}

func TestTruncated(t *testing.T) {
	path, st := filled(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	step := max(512, len(whole)/200/512*512)
	for n := 0; n < len(whole); n += step {
		damaged(t, fmt.Sprintf("cut to %d of %d", n, len(whole)), whole[:n], st)
	}
	for _, n := range []int{0, 1, 100, 4096, 8192, 8193, 12288} {
		if !damaged(t, fmt.Sprintf("cut to %d of %d", n, len(whole)), whole[:n]) {
			t.Errorf("cut to %d of %d: opened", n, len(whole))
		}
	}
}

// Each page in turn is lost, or comes back as something else.
func TestTornPages(t *testing.T) {
	path, st := filled(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	refused := 0
	for at := 2 * page; at < len(whole); at += page {
		for _, fill := range []byte{0, 0xff} {
			content := bytes.Clone(whole)
			copy(content[at:at+page], bytes.Repeat([]byte{fill}, page))
			if damaged(t, fmt.Sprintf("page %d all %#x", at/page, fill), content, st) {
				refused++
			}
		}
	}
	if refused < 20 {
		t.Errorf("only %d of the damaged pages were found", refused)
	}
}

// A list of free pages that names one in use would let the next change
// overwrite it: everything reads well, and yet it must be refused.
func TestFreeListNamesPageInUse(t *testing.T) {
	path, _ := filled(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A page begins with its number (8 bytes), its kind (2) and how many entries it has (2).
	const freeList = 0x10
	page, inUse, changed := os.Getpagesize(), uint64(0), false
	err = view(path, func(tx *bbolt.Tx) error {
		inUse = uint64(tx.Bucket([]byte(bucketSandboxes)).Root())
		return nil
	})
	if err != nil || inUse == 0 {
		t.Fatalf("page %d, %v", inUse, err)
	}
	for at := 2 * page; at < len(content); at += page {
		if binary.NativeEndian.Uint16(content[at+8:]) == freeList && binary.NativeEndian.Uint16(content[at+10:]) > 0 {
			binary.NativeEndian.PutUint64(content[at+16:], inUse)
			changed = true
		}
	}
	if !changed || !damaged(t, "page in use on the list of free ones", content) {
		t.Errorf("list changed: %t; opened, so that the next change would destroy it", changed)
	}
}

func view(path string, fn func(*bbolt.Tx) error) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(db.View(fn), db.Close())
}

// The last thing that a transaction writes is one of two head pages. If that
// tears, the other one stands for the state before.
func TestTornHead(t *testing.T) {
	path, before := filled(t)
	s := open(t, path)
	update(t, s, func(tx *Tx) error { return tx.PutNetwork(Network{Name: "last"}) })
	after := state(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tear := func(content []byte, page int) {
		at := page*os.Getpagesize() + 16 + 48 // the transaction's number, behind the page's own header
		copy(content[at:], "torn")
	}
	for page := range 2 {
		content := bytes.Clone(whole)
		tear(content, page)
		if damaged(t, fmt.Sprintf("head page %d torn", page), content, before, after) {
			t.Errorf("head page %d torn: refused, though the other one is good", page)
		}
	}
	tear(whole, 0)
	tear(whole, 1)
	if !damaged(t, "both head pages torn", whole) {
		t.Error("both head pages torn: opened")
	}
}

// After a refusal the file is not locked any more: it can be replaced and opened.
func TestRefusalLetsGo(t *testing.T) {
	path, st := filled(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("Open = %v, want ErrCorrupt", err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := state(t, open(t, path)); !reflect.DeepEqual(got, st) {
		t.Error("the restored file reads otherwise")
	}
}

func rewrite(t *testing.T, path string, fn func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOtherContent(t *testing.T) {
	meta := func(key, value string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketMeta)).Put([]byte(key), []byte(value)) }
	}
	for _, tc := range []struct {
		name   string
		change func(*bbolt.Tx) error
		want   error
	}{
		{"a newer schema", meta("schema", strconv.Itoa(schema+1)), ErrNewer},
		{"no schema", meta("schema", ""), ErrCorrupt},
		{"no ID", meta("id", ""), ErrCorrupt},
		{"no bucket", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketPublishes)) }, ErrCorrupt},
		{"another program's", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketMeta)) }, ErrCorrupt},
		{"no JSON", func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucketNetworks)).Put([]byte("x"), []byte("{")) }, ErrCorrupt},
		{"a bucket in a bucket", func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte(bucketNetworks)).CreateBucket([]byte("x"))
			return err
		}, ErrCorrupt},
	} {
		path, _ := filled(t)
		rewrite(t, path, tc.change)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v naming the file", tc.name, err, tc.want)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the file was changed (%v)", tc.name, err)
		}
	}
}

// What an agent that was killed while it made the file has left does not matter.
func TestCreateAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ebnet.db")
	if err := os.WriteFile(path+".new", []byte("half of a store"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v (%v), want the store alone", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

// Of several that start at once for the first time, one has the store.
func TestCreateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ebnet.db")
	var wg sync.WaitGroup
	opened := make(chan *Store, 8)
	for range cap(opened) {
		wg.Go(func() {
			s, err := Open(path)
			if err == nil {
				opened <- s
			} else if !errors.Is(err, ErrInUse) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(opened) != 1 {
		t.Fatalf("%d have the store", len(opened))
	}
	first := <-opened
	update(t, first, putAll(full()))
	id := first.ID()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if s := open(t, path); s.ID() != id || len(state(t, s).Networks) != 1 {
		t.Error("the store of the first one was replaced")
	}
}
