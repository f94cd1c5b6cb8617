package owner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// group starts shell commands that carry a mark in their environment, and
// returns a function that lists all processes with it.
func group(t *testing.T, scripts ...string) ([]*exec.Cmd, func() ([]int, error)) {
	t.Helper()
	mark := fmt.Sprintf("EBNET_TEST_GROUP=%s/%d", t.Name(), os.Getpid())
	var cmds []*exec.Cmd
	for _, script := range scripts {
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = append(os.Environ(), mark)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { _ = cmd.Wait() }()
		if _, err := out.Read(make([]byte, 16)); err != nil {
			t.Fatalf("%q does not say that it runs: %v", script, err)
		}
		cmds = append(cmds, cmd)
	}
	list := func() ([]int, error) { return marked(mark) }
	t.Cleanup(func() {
		left, _ := list()
		for _, pid := range left {
			t.Errorf("pid %d is left", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return cmds, list
}

func marked(mark string) (pids []int, err error) {
	environs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	for _, path := range environs {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has gone
		}
		for env := range bytes.SplitSeq(data, []byte{0}) {
			if string(env) == mark {
				pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
				if err != nil {
					return nil, err
				}
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}

func TestKillAllGently(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	_, list := group(t,
		`n=0; step=0; trap 'echo bye >> `+said+`; step=1' TERM; echo up; while [ $n -lt 10 ]; do sleep 0.05; n=$((n+step)); done`,
		`echo up; exec sleep 60`)
	if err := KillAll(list, time.Minute); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(said); err != nil || string(data) != "bye\n" {
		t.Errorf("it said %q, %v: SIGTERM should have come, once", data, err)
	}
}

func TestKillAllTheStubborn(t *testing.T) {
	_, list := group(t,
		`trap '' TERM; echo up; while :; do sleep 0.01; done`,
		`trap 'sh -c "trap : TERM; while :; do sleep 0.01; done" & wait; wait' TERM; echo up; while :; do sleep 0.01; done`)
	if err := KillAll(list, 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if left, err := list(); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A stopped process does not see SIGTERM, and processes that start others all
// the time must not outrun the list.
func TestKillAllTheBusy(t *testing.T) {
	cmds, list := group(t,
		`echo up; exec sleep 60`,
		`echo up; while :; do sh -c 'sleep 0.02; sleep 60' & sleep 0.05; done`)
	if err := cmds[0].Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := KillAll(list, 0); err != nil {
		t.Fatal(err)
	}
}

func TestKillAllNone(t *testing.T) {
	if err := KillAll(func() ([]int, error) { return nil, nil }, time.Hour); err != nil {
		t.Error(err)
	}
	broken := errors.New("broken")
	if err := KillAll(func() ([]int, error) { return nil, broken }, 0); !errors.Is(err, broken) {
		t.Errorf("KillAll with a broken list = %v", err)
	}
}

// A list that holds this process would be that of the host: nobody is signalled.
func TestKillAllRefuses(t *testing.T) {
	bystander := start(t, "sleep", "60")
	began := startTime(t, bystander.Process.Pid)
	for _, pid := range []int{os.Getpid(), 1, 0, -1} {
		err := KillAll(func() ([]int, error) { return []int{bystander.Process.Pid, pid}, nil }, 0)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("KillAll of pid %d = %v, want ErrRefused", pid, err)
		}
	}
	if alive, err := Alive(bystander.Process.Pid, began); err != nil || !alive {
		t.Errorf("the bystander is alive: %t, %v", alive, err)
	}
}

// A pid that a list named, but that belongs to somebody else when it is asked
// again, is left alone.
func TestKillAllSparesStrangers(t *testing.T) {
	stranger := start(t, "sleep", "60")
	began := startTime(t, stranger.Process.Pid)
	asked := 0
	err := KillAll(func() ([]int, error) {
		if asked++; asked == 1 {
			return []int{stranger.Process.Pid}, nil
		}
		return nil, nil
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := Alive(stranger.Process.Pid, began); err != nil || !alive {
		t.Errorf("the stranger is alive: %t, %v", alive, err)
	}
}

// A zombie that stays listed is no reason to wait.
func TestKillAllZombie(t *testing.T) {
	cmd := start(t, "sleep", "60")
	if err := KillAll(func() ([]int, error) { return []int{cmd.Process.Pid}, nil }, time.Minute); err != nil {
		t.Error(err)
	}
}
