package loader

import (
	"errors"
	"fmt"
	"iter"
	stdmaps "maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Lost is what others have taken away.
type Lost struct {
	// Pins by name. What they stood for goes on, but would end with the agent.
	Pins []string
	// Hooks without the program that was put there, for example "tcx-ingress-7".
	Hooks []string
}

// Lost looks whether all that was attached and pinned still is. It changes nothing
// and is cheap enough to be asked all the time. A device that has gone has lost nothing.
func (l *Loader) Lost() (Lost, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.maps == nil {
		return Lost{}, ErrClosed
	}
	var lost Lost
	for _, group := range l.pinGroups() {
		names, err := group.missing()
		if err != nil {
			return Lost{}, err
		}
		lost.Pins = append(lost.Pins, names...)
	}
	links, err := l.links.off()
	if err != nil {
		return Lost{}, err
	}
	filters, err := l.lostFilters()
	lost.Hooks = append(links, filters...)
	return lost, err
}

// Repin makes again what somebody has removed of the pins and their folders, and says
// what; it mounts a bpffs again where there is none any more. It wraps ErrInUse if
// another agent has taken the folder meanwhile.
func (l *Loader) Repin() (names []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.maps == nil {
		return nil, ErrClosed
	}
	if _, err := makeFolder(string(l.dir)); err != nil {
		return nil, err
	}
	if err := l.relock(); err != nil {
		return nil, err
	}
	l.watch.add(l.dir)
	for _, group := range l.pinGroups() {
		missing, err := group.missing()
		if err != nil {
			return names, err
		}
		for _, name := range missing {
			if err := group.pin(name); err != nil {
				return names, err
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// relock takes the folder if it is not any more the one that was taken.
func (l *Loader) relock() error {
	if l.lock.holds(l.dir) {
		return nil
	}
	lock, err := l.dir.lock(0)
	if err != nil {
		return err
	}
	old := l.lock
	l.lock = lock
	return old.release()
}

// pinGroup is what has to be in one folder, and how it gets there.
type pinGroup struct {
	path   string
	wanted iter.Seq[string]
	pin    func(name string) error
}

func (l *Loader) pinGroups() []pinGroup {
	mkdir := func(in string) func(string) error {
		return func(name string) error {
			if err := os.Mkdir(filepath.Join(in, name), 0o700); err != nil {
				return fmt.Errorf("mark: %w", err)
			}
			return nil
		}
	}
	netns := filepath.Base(l.dir.netnsMark(l.cookie))
	return []pinGroup{
		{l.dir.version(), slices.Values([]string{netns}), mkdir(l.dir.version())},
		{l.dir.maps(), stdmaps.Keys(l.mapsByName()), l.pinMap},
		{l.dir.links(), stdmaps.Keys(l.links.held), l.links.pinAgain},
		{l.dir.qdiscs(), stdmaps.Keys(l.marks), mkdir(l.dir.qdiscs())},
	}
}

// missing are the names that are not in the folder, in order.
func (g pinGroup) missing() ([]string, error) {
	have, err := list(g.path)
	if err != nil {
		return nil, err
	}
	there := make(map[string]bool, len(have))
	for _, name := range have {
		there[name] = true
	}
	var out []string
	for name := range g.wanted {
		if !there[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// isThere says whether a device exists. The kernel's lock of all devices, for which
// others may be waiting, is not needed for that.
func isThere(ifindex int) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("")
	if err != nil {
		return true
	}
	request.SetUint32(uint32(ifindex))
	return !errors.Is(unix.IoctlIfreq(fd, unix.SIOCGIFNAME, request), unix.ENODEV)
}

// off are the links that hold no program on what they were made for, unless that is
// gone.
func (ls *links) off() ([]string, error) {
	var out []string
	for name, l := range ls.held {
		info, err := l.Info()
		if err != nil {
			return nil, fmt.Errorf("read link %s: %w", name, err)
		}
		_, ifindex, tcx := parseTCXPin(name)
		if tcx && !isOnDevice(info, ifindex) && isThere(ifindex) || !tcx && !isOnCgroup(info) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}
