package loader

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// AttachSockets puts the socket programs on the cgroup, beside what others have
// there. It is idempotent. It wraps ErrNoCgroup.
func (l *Loader) AttachSockets() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.programs == nil {
		return ErrClosed
	}
	path := l.cgroup
	if path == "" {
		var err error
		if path, err = CgroupRoot(); err != nil {
			return fmt.Errorf("attach to sockets: %w", err)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fmt.Errorf("attach to sockets: look at cgroup %s: %w", path, err)
	}
	for _, h := range socketHooks(l.programs) {
		// A cgroup's id is the inode of its folder.
		if err := l.dir.attachSocket(h, path, st.Ino); err != nil {
			return fmt.Errorf("attach cgroup/%s to %s: %w", h.name, path, err)
		}
	}
	return nil
}

// attachSocket updates the pinned link in place if it is on the cgroup of that
// id, and else attaches anew before it takes the old one off.
func (f folder) attachSocket(h socketHook, path string, id uint64) error {
	pin := f.linkPin(h.pin())
	old, err := link.LoadPinnedLink(pin, nil)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open link: %w", err)
	}
	if old != nil {
		defer old.Close()
		info, err := old.Info()
		if err != nil {
			return fmt.Errorf("read link: %w", err)
		}
		if c := info.Cgroup(); c != nil && c.CgroupId == id {
			return old.Update(h.program)
		}
	}
	l, err := link.AttachCgroup(link.CgroupOptions{Path: path, Attach: h.attach, Program: h.program})
	if err != nil {
		return err
	}
	defer l.Close() // the pin holds it; without one this takes it off again
	if err := remove(pin); err != nil {
		return err
	}
	if err := l.Pin(pin); err != nil {
		return fmt.Errorf("pin link: %w", err)
	}
	if old != nil {
		return detachLink(old)
	}
	return nil
}

// detachLink takes the program off its hook, whoever else has the link open.
func detachLink(l link.Link) error {
	err := l.Detach()
	if err != nil && !errors.Is(err, unix.ENOLINK) {
		return fmt.Errorf("detach link: %w", err)
	}
	return nil
}
