package loader

import (
	"errors"
	"fmt"

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
		if err := l.links.attachSocket(h, path, st.Ino); err != nil {
			return fmt.Errorf("attach cgroup/%s to %s: %w", h.name, path, err)
		}
	}
	return nil
}

// attachSocket updates the link in place if it is on the cgroup of that id, and
// else attaches anew before it takes the old one off.
func (ls *links) attachSocket(h socketHook, path string, id uint64) error {
	old, err := ls.get(h.pin())
	if err != nil {
		return err
	}
	if old != nil {
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
	if err := ls.drop(h.pin()); err != nil {
		return errors.Join(err, l.Close())
	}
	return ls.put(h.pin(), l)
}

// isOnCgroup tells whether a link holds a program on some cgroup.
func isOnCgroup(info *link.Info) bool {
	c := info.Cgroup()
	return c != nil && c.CgroupId != 0
}
