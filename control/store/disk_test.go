package store

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that is full refuses the change, keeps what there was, and works again
// once there is room.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("EBNET_PRIVILEGED") == "1" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	done := make(chan error)
	dir := t.TempDir()
	go func() {
		runtime.LockOSThread() // and never unlock: its mounts go with the thread
		done <- diskFull(dir)
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func diskFull(dir string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	s, err := Open(dir + "/ebnet.db")
	if err != nil {
		return err
	}
	var want State
	for i := 0; ; i++ {
		if want, err = s.State(); err != nil {
			return err
		}
		err = s.Update(func(tx *Tx) error {
			return tx.PutNetwork(Network{Name: fmt.Sprint("net", i), Bridge: strings.Repeat("x", 20000)})
		})
		if err != nil {
			break
		}
	}
	if !errors.Is(err, unix.ENOSPC) || len(want.Networks) == 0 {
		return fmt.Errorf("after %d networks: %w, want ENOSPC", len(want.Networks), err)
	}
	if got, err := s.State(); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("the refused change has left a trace (%w)", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=64m"); err != nil {
		return fmt.Errorf("remount: %w", err)
	}
	if err := s.Update(func(tx *Tx) error { return tx.DeleteNetwork("net0") }); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(dir + "/ebnet.db"); err != nil {
		return err
	}
	st, err := s.State()
	if err != nil || len(st.Networks) != len(want.Networks)-1 {
		return fmt.Errorf("%d networks after one was deleted, before it were %d (%w)", len(st.Networks), len(want.Networks), err)
	}
	return s.Close()
}
