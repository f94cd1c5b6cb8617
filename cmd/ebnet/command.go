package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// command is a child process that looks to its user as if it were ebnet itself.
type command struct {
	path    string
	words   []string
	stdin   *os.File
	signals chan os.Signal // what we get and the child should have
}

// forwarded are the signals that `ebnet run` passes on.
func forwarded() []os.Signal {
	return []os.Signal{
		unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH, unix.SIGCONT,
	}
}

// started is a child that runs, and whether it has the terminal.
type started struct {
	pid      int
	terminal bool
}

type ended struct {
	status unix.WaitStatus
	err    error
}

// run starts the child on a thread that prepare has moved to where the child
// should be, and waits for its end.
func (c command) run(prepare func() error) (unix.WaitStatus, error) {
	tty := c.terminal()
	starts, stops, ends := make(chan started, 1), make(chan unix.Signal, 1), make(chan ended, 1)
	go offMainThread(func() {
		// This goroutine never unlocks its thread, so that the thread ends with
		// it. It waits here: the kernel takes the death of the thread for the
		// death of the parent.
		if err := prepare(); err != nil {
			ends <- ended{err: err}
			return
		}
		child, err := c.start(tty)
		if err != nil {
			ends <- ended{err: err}
			return
		}
		starts <- child
		status, err := wait(child.pid, stops)
		ends <- ended{status, err}
	})
	var child started
	signals := chan os.Signal(nil) // kept until there is somebody to have them
	for {
		select {
		case child = <-starts:
			signals = c.signals
		case s := <-signals:
			child.pass(s.(unix.Signal), tty)
		case by := <-stops:
			if err := child.stopped(tty, by); err != nil {
				return 0, err
			}
		case end := <-ends:
			select { // both may be there at once
			case child = <-starts:
			default:
			}
			if child.terminal {
				tty.give(unix.Getpgrp())
			}
			return end.status, end.err
		}
	}
}

// offMainThread calls a function that moves its thread to other namespaces on a
// thread that is not the process's first one. That one cannot end, and its
// namespaces are what others take for the process's: the agent, which ends all
// that is in a sandbox, would end us as well.
func offMainThread(fn func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		fn()
		return
	}
	// While this goroutine keeps the first thread, the next one cannot be on it.
	done := make(chan struct{})
	go func() {
		defer close(done)
		offMainThread(fn)
	}()
	<-done
	runtime.UnlockOSThread()
}

// start starts the child in a process group of its own, which gets the terminal
// if we have it. The child dies if we do, whoever else cleans up behind us.
func (c command) start(tty terminal) (started, error) {
	ours := tty.ours()
	pid, err := syscall.ForkExec(c.path, c.words, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{c.stdin.Fd(), os.Stdout.Fd(), os.Stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Foreground: ours, Ctty: int(tty), Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		if ours {
			tty.give(unix.Getpgrp())
		}
		return started{}, startError(c.words[0], err)
	}
	return started{pid, ours}, nil
}

// wait waits for the child's end, and tells of each time that it is stopped.
func wait(pid int, stops chan<- unix.Signal) (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for the command: %w", err)
		case status.Stopped():
			stops <- status.StopSignal()
		default:
			return status, nil
		}
	}
}

// stopped stops us when the child was stopped at the terminal, as by Ctrl-Z, or in
// the background because it wants the terminal, so that the shell that started us
// takes over.
func (s *started) stopped(tty terminal, by unix.Signal) error {
	wants := tty >= 0 && (by == unix.SIGTTIN || by == unix.SIGTTOU)
	if !s.terminal && !wants {
		return nil
	}
	if s.terminal {
		s.terminal = false
		tty.give(unix.Getpgrp())
	}
	if err := unix.Kill(unix.Getpid(), unix.SIGSTOP); err != nil {
		return fmt.Errorf("stop with the command: %w", err)
	}
	return nil
}

// pass gives the child a signal that we got. What a terminal sends to all of a
// job goes to all of the child's.
func (s *started) pass(number unix.Signal, tty terminal) {
	to := s.pid
	switch number {
	case unix.SIGCONT:
		if !s.terminal && tty.ours() { // the shell has brought us to the foreground
			s.terminal = true
			tty.give(s.pid)
		}
		to = -s.pid
	case unix.SIGINT, unix.SIGQUIT, unix.SIGWINCH:
		to = -s.pid
	}
	_ = unix.Kill(to, number) // the child may just have ended
}

// terminal is the descriptor of the terminal we run at, -1 without one.
type terminal int

func (c command) terminal() terminal {
	if fd := int(c.stdin.Fd()); term.IsTerminal(fd) {
		return terminal(fd)
	}
	return -1
}

// ours tells whether we are in the terminal's foreground.
func (t terminal) ours() bool {
	if t < 0 {
		return false
	}
	group, err := unix.IoctlGetInt(int(t), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// give brings a process group to the terminal's foreground. Errors are those of
// a terminal or group that is gone, for which nothing is left to do.
func (t terminal) give(group int) {
	// From the background this takes a thread that blocks SIGTTOU; ignoring the
	// signal would do, but the child would inherit that.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, before unix.Sigset_t
	block.Val[0] = 1 << (unix.SIGTTOU - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &before); err != nil {
		return
	}
	_ = unix.IoctlSetPointerInt(int(t), unix.TIOCSPGRP, group)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
}
