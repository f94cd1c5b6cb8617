package loader

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// links are the links of a folder: pinned, so that they outlive the agent, and held
// open, so that while it lives they outlive their pins. Each costs a descriptor.
type links struct {
	dir  folder
	held map[string]link.Link // by the names of their pins
}

func newLinks(dir folder) *links { return &links{dir, map[string]link.Link{}} }

// get is the link of that name, nil if there is none. One that is only pinned is
// held from now on.
func (ls *links) get(name string) (link.Link, error) {
	if l := ls.held[name]; l != nil {
		return l, nil
	}
	l, err := link.LoadPinnedLink(ls.dir.linkPin(name), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open link %s: %w", name, err)
	}
	ls.held[name] = l
	return l, nil
}

// put holds and pins a new link where none of that name is. On error the link is
// closed, and so off its hook. Where somebody has just removed the folder it is no
// error: Repin brings the pin with all others.
func (ls *links) put(name string, l link.Link) error {
	err := l.Pin(ls.dir.linkPin(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("pin link: %w", err), l.Close())
	}
	ls.held[name] = l
	return nil
}

// drop takes the program off its hook at once, whoever else has the link open, and
// forgets the link. It is no error if there is none.
func (ls *links) drop(name string) error {
	l, err := ls.get(name)
	if l == nil || err != nil {
		return err
	}
	if err := detachLink(l); err != nil {
		return err
	}
	delete(ls.held, name)
	return errors.Join(remove(ls.dir.linkPin(name)), l.Close())
}

// pinAgain pins a held link whose pin is gone.
func (ls *links) pinAgain(name string) error {
	l := ls.held[name]
	if err := l.Unpin(); err != nil { // it still takes its pin to be there
		return fmt.Errorf("pin link %s: %w", name, err)
	}
	if err := l.Pin(ls.dir.linkPin(name)); err != nil {
		return fmt.Errorf("pin link %s: %w", name, err)
	}
	return nil
}

// close drops the descriptors. What is pinned stays on its hook.
func (ls *links) close() error {
	var errs []error
	for name, l := range ls.held {
		errs = append(errs, l.Close())
		delete(ls.held, name)
	}
	return errors.Join(errs...)
}

// detachLink takes the program off its hook, whoever else has the link open.
func detachLink(l link.Link) error {
	err := l.Detach()
	if err != nil && !errors.Is(err, unix.ENOLINK) {
		return fmt.Errorf("detach link: %w", err)
	}
	return nil
}
