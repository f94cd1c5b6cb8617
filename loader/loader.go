package loader

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/ebnet/ebnet/bpf"
)

var (
	// ErrLayout says that a pinned map was made by another version of ebnet,
	// which lays its elements out differently.
	ErrLayout = errors.New("pinned map has another layout")
	// ErrRights says that the process may not do what a loader does.
	ErrRights = errors.New("needs root (CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN)")
	// ErrInUse says that the folder serves another agent.
	ErrInUse = errors.New("belongs to another ebnet agent")
	// ErrTaken says that somebody else holds what ebnet needs of a hook.
	ErrTaken = errors.New("taken by somebody else")
	// ErrNoCgroup says that no cgroup2 hierarchy is mounted where this process
	// can see it.
	ErrNoCgroup = errors.New("no cgroup2 hierarchy is mounted")
	// ErrVersion says that what is attached was put there by a version of ebnet
	// that this one cannot take over from.
	ErrVersion = errors.New("is of another version of ebnet")
	// ErrClosed says that the Loader has been closed.
	ErrClosed = errors.New("loader is closed")
	// ErrNoTCX says that ModeTCX was asked of a kernel before 6.6.
	ErrNoTCX = errors.New("this kernel has no tcx (Linux 6.6 or newer has)")
)

// Config says what a Loader loads and where it keeps it.
type Config struct {
	Dir         string // folder on a bpffs, for example /sys/fs/bpf/ebnet
	NetnsCookie uint64 // the namespace whose sockets the cgroup programs serve
	Attach      Mode   // how programs get onto devices
	CgroupPath  string // cgroup whose sockets are hooked; empty for CgroupRoot()
	Memory      uint64 // bytes that the tables' sizes follow; 0 for the machine's
}

// Loader holds the loaded programs and maps. Its methods may be called
// concurrently, each from a thread in the agent's network namespace.
type Loader struct {
	mu       sync.Mutex
	dir      folder
	cookie   uint64 // of the namespace that dir serves
	lock     *dirLock
	links    *links
	filters  map[filterPlace]ebpf.ProgramID // that were put there by this loader
	marks    map[string]bool                // of qdiscs
	watch    *watch
	tcx      bool // attach by tcx rather than clsact
	haveTCX  bool // the kernel knows tcx
	cgroup   string
	maps     *bpf.EbnetMaps
	programs *bpf.EbnetPrograms
}

// Open loads the programs and takes over whatever an earlier agent left in
// c.Dir: its maps are used on, its links and filters get the new programs, each
// in one atomic step, so that no packet finds a hook empty. It mounts a bpffs
// if c.Dir is not on one.
//
// It wraps ErrRights, ErrInUse, ErrLayout, ErrVersion and ErrNoTCX. Then, and
// where the kernel refuses a program, it has touched nothing that was there. A
// *ebpf.VerifierError tells all with %+v.
func Open(c Config) (_ *Loader, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", c.Dir, err)
		}
	}()
	if err := checkRights(); err != nil {
		return nil, err
	}
	haveTCX, err := HaveTCX()
	if err != nil {
		return nil, err
	}
	if c.Attach == ModeTCX && !haveTCX {
		return nil, ErrNoTCX
	}
	dir, err := makeFolder(c.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := dir.lock(lockPatience)
	if err != nil {
		return nil, err
	}
	l := &Loader{
		dir:     dir,
		cookie:  c.NetnsCookie,
		lock:    lock,
		links:   newLinks(dir),
		filters: map[filterPlace]ebpf.ProgramID{},
		marks:   map[string]bool{},
		watch:   newWatch(),
		haveTCX: haveTCX,
		tcx:     haveTCX && c.Attach != ModeClsact,
		cgroup:  c.CgroupPath,
	}
	defer func() {
		if err != nil {
			dir.prune()
			l.Close()
		}
	}()
	found, err := survey(l.links, c.NetnsCookie)
	if err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	if l.maps, l.programs, err = load(l.links, c); err != nil {
		return nil, err
	}
	if err := dir.mark(c.NetnsCookie); err != nil {
		return nil, err
	}
	if err := l.adopt(found); err != nil {
		return nil, fmt.Errorf("adopt: %w", err)
	}
	l.watch.add(dir)
	return l, nil
}

// Maps are the pinned maps. They stay the loader's: Close closes them.
func (l *Loader) Maps() *bpf.EbnetMaps { return l.maps }

// SweepProgram is the program that ends flows; it is run, not attached.
func (l *Loader) SweepProgram() *ebpf.Program { return l.programs.EbnetSweep }

// Mode is how programs get onto devices: ModeTCX or ModeClsact.
func (l *Loader) Mode() Mode {
	if l.tcx {
		return ModeTCX
	}
	return ModeClsact
}

// Hints gives a sign when something has vanished from where the pins are, be it by
// the loader's own doing: a reason to ask for what is Lost. Not every loss gives one.
func (l *Loader) Hints() <-chan struct{} { return l.watch.hints() }

// Close drops the descriptors. Everything that is attached keeps running.
func (l *Loader) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.programs != nil {
		errs = append(errs, l.programs.Close())
		l.programs = nil
	}
	if l.maps != nil {
		errs = append(errs, l.maps.Close())
		l.maps = nil
	}
	errs = append(errs, l.links.close(), l.watch.close(), l.lock.release())
	return errors.Join(errs...)
}
