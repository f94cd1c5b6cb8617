package loader

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Purge removes all that loaders put into the kernel for the folder: programs
// from their hooks, filters and qdiscs from the devices of this namespace, pins,
// and the folder. It needs no agent and takes whatever is left as it finds it.
// What others have on the hooks or in the folder stays. A Loader of the folder
// has to be closed before. It wraps ErrRights.
func Purge(dir string) error {
	if err := purge(dir); err != nil {
		return fmt.Errorf("purge %s: %w", dir, err)
	}
	return nil
}

func purge(path string) error {
	if err := checkRights(); err != nil {
		return err
	}
	path, err := absolute(path)
	if err != nil {
		return err
	}
	dir := folder(path)
	on, err := onBPFFS(path)
	if err != nil {
		return err
	}
	if !on {
		// No pin can be here. An ordinary folder is nobody's business.
		return dir.purgeDevices()
	}
	errs := []error{dir.detachLinks(), dir.purgeDevices(), dir.removePins()}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	dir.prune()
	if err := unmountOwn(path); err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOENT) {
		return nil // others' pins, or others' mount
	}
	return err
}

// detachLinks takes the programs of all pinned links off their hooks at once:
// removing the pins alone would leave them to whoever has one open.
func (f folder) detachLinks() error {
	pins, err := list(f.links())
	if err != nil {
		return err
	}
	var errs []error
	for _, pin := range pins {
		l, err := link.LoadPinnedLink(f.linkPin(pin), nil)
		if err != nil {
			continue // no link, or gone; removing the pin is all there is to do
		}
		errs = append(errs, detachLink(l), l.Close())
	}
	return errors.Join(errs...)
}

// removePins removes all that loaders make below the folder.
func (f folder) removePins() error {
	var errs []error
	for _, p := range []string{f.links(), f.maps(), f.qdiscs()} {
		errs = append(errs, os.RemoveAll(p))
	}
	served, err := f.served()
	errs = append(errs, err)
	for _, cookie := range served {
		errs = append(errs, remove(f.netnsMark(cookie)))
	}
	return errors.Join(errs...)
}

// purgeDevices removes our filters and qdiscs from the devices of this
// namespace, unless the folder serves another one.
func (f folder) purgeDevices() error {
	served, err := f.served()
	if err != nil {
		return err
	}
	cookie, err := netnsCookie()
	if err != nil {
		return err
	}
	if len(served) > 0 && !slices.Contains(served, cookie) {
		return nil
	}
	filters, err := ourFilters()
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range filters {
		errs = append(errs, detachFilter(a.Ifindex, a.dir))
	}
	marks, err := list(f.qdiscs())
	if err != nil {
		return err
	}
	for _, mark := range marks {
		if ifindex, err := strconv.Atoi(mark); err == nil {
			_, err := f.releaseQdisc(ifindex)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// netnsCookie is the cookie of the calling thread's network namespace.
func netnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("read cookie of namespace: %w", err)
	}
	return cookie, nil
}
