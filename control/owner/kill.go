package owner

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// ErrRefused says that the list of processes to end contained one that must
	// not be ended: this one, or the first of the system. Nothing was signalled.
	ErrRefused = errors.New("refused to end")
	// ErrSurvived says that processes were still there long after SIGKILL.
	ErrSurvived = errors.New("still running after SIGKILL")
)

const (
	// killWait is how long after SIGKILL a process may take to be gone. Only one
	// that hangs in the kernel (a dead disk or file server) takes longer.
	killWait = 10 * time.Second
	// relist is how often the list is asked again for newcomers, such as
	// children started while their parents were being ended.
	relist = 50 * time.Millisecond
)

// KillAll ends all processes that pids lists, also those that join the list
// meanwhile: SIGTERM to each, SIGKILL to all that are left after grace. It
// returns when the list is empty but for zombies, or wraps ErrRefused or ErrSurvived.
//
// pids is asked many times. A process is signalled through a descriptor that
// was opened before the list was asked once more, so that a pid that passes to
// a stranger in between is never hit.
func KillAll(pids func() ([]int, error), grace time.Duration) error {
	k := &killer{list: pids, fds: map[int]int{}, asked: map[int]bool{}}
	defer k.close()
	term := time.Now().Add(grace)
	for {
		alive, err := k.survey()
		if err != nil {
			return fmt.Errorf("end processes: %w", err)
		}
		if len(alive) == 0 {
			return nil
		}
		now := time.Now()
		if now.After(term.Add(killWait)) {
			return fmt.Errorf("end processes: %w: %v", ErrSurvived, alive)
		}
		pause := relist
		if now.Before(term) {
			err = k.signal(alive, unix.SIGTERM)
			pause = min(pause, term.Sub(now))
		} else {
			err = k.signal(alive, unix.SIGKILL)
		}
		if err != nil {
			return fmt.Errorf("end processes: %w", err)
		}
		if err := k.wait(pause); err != nil {
			return fmt.Errorf("end processes: %w", err)
		}
	}
}

type killer struct {
	list  func() ([]int, error)
	fds   map[int]int  // pidfd by pid
	asked map[int]bool // had its SIGTERM
}

// survey returns the pids that are listed and run, each with its descriptor in fds.
func (k *killer) survey() ([]int, error) {
	listed, err := k.list()
	if err != nil {
		return nil, err
	}
	if err := refuse(listed); err != nil {
		return nil, err
	}
	for _, pid := range listed {
		if err := k.open(pid); err != nil {
			return nil, err
		}
	}
	// Who is still listed now was so when its descriptor was opened, or that
	// descriptor belongs to a process that has ended.
	if listed, err = k.list(); err != nil {
		return nil, err
	}
	if err := refuse(listed); err != nil {
		return nil, err
	}
	alive := []int{}
	for _, pid := range listed {
		fd, opened := k.fds[pid]
		if !opened {
			alive = append(alive, pid) // came between; its turn is next time
			continue
		}
		ended, err := wait([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err != nil {
			return nil, err
		}
		if !ended {
			alive = append(alive, pid)
		}
	}
	return alive, nil
}

func refuse(pids []int) error {
	for _, pid := range pids {
		if pid == os.Getpid() || pid <= 1 {
			return fmt.Errorf("%w pid %d", ErrRefused, pid)
		}
	}
	return nil
}

// open keeps one descriptor for the pid; a pid that has passed to another
// process gets a new one.
func (k *killer) open(pid int) error {
	if fd, ok := k.fds[pid]; ok {
		ended, err := wait([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err != nil || !ended {
			return err
		}
		k.drop(pid)
	}
	fd, err := openAny(pid)
	switch {
	case err == nil:
		k.fds[pid] = fd
	case errors.Is(err, ErrGone):
	case errors.Is(err, unix.EMFILE) && len(k.fds) > 0: // the others first
	default:
		return err
	}
	return nil
}

// signal sends sig to those whose descriptors are open, SIGTERM only once.
func (k *killer) signal(pids []int, sig unix.Signal) error {
	for _, pid := range pids {
		fd, opened := k.fds[pid]
		if !opened || (sig == unix.SIGTERM && k.asked[pid]) {
			continue
		}
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal pid %d: %w", pid, err)
		}
		k.asked[pid] = true
	}
	return nil
}

// wait waits until all of the processes have ended, at most d, and drops the
// descriptors of those that have.
func (k *killer) wait(d time.Duration) error {
	for deadline := time.Now().Add(d); ; {
		pids := slices.Collect(maps.Keys(k.fds))
		polls := make([]unix.PollFd, 0, len(pids))
		for _, pid := range pids {
			polls = append(polls, unix.PollFd{Fd: int32(k.fds[pid]), Events: unix.POLLIN})
		}
		// With no descriptors left this waits for newcomers.
		if some, err := wait(polls, time.Until(deadline)); err != nil || !some {
			return err
		}
		for i, p := range polls {
			if p.Revents != 0 {
				k.drop(pids[i])
			}
		}
		if len(k.fds) == 0 {
			return nil // ask the list at once whether that was all
		}
	}
}

func (k *killer) drop(pid int) {
	unix.Close(k.fds[pid])
	delete(k.fds, pid)
	delete(k.asked, pid)
}

func (k *killer) close() {
	for _, fd := range k.fds {
		unix.Close(fd)
	}
}

// wait polls until one of the descriptors is ready or d has passed, and says
// whether one is. Part of a millisecond counts as a whole one.
func wait(polls []unix.PollFd, d time.Duration) (bool, error) {
	deadline := time.Now().Add(d)
	for {
		left := max(0, time.Until(deadline))
		n, err := unix.Poll(polls, int((left+time.Millisecond-1)/time.Millisecond))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0, os.NewSyscallError("poll", err)
	}
}
