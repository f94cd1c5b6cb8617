package store

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// crashEnv makes TestCrashChild write to the store that it names.
const crashEnv = "EBNET_TEST_CRASH"

// child starts this program as another agent and returns what it reports.
func child(t *testing.T, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCrashChild$")
	cmd.Env = append(os.Environ(), crashEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// TestCrashChild stores one step after the other, each in three buckets, and
// says so after each.
func TestCrashChild(t *testing.T) {
	path := os.Getenv(crashEnv)
	if path == "" {
		t.Skip("only run by the other tests")
	}
	s := open(t, path)
	first := 1 + lastStep(t, state(t, s))
	fmt.Println("open")
	for step := first; ; step++ {
		update(t, s, func(tx *Tx) error { return putStep(tx, step) })
		fmt.Println(step)
	}
}

func putStep(tx *Tx, step int) error {
	name := strconv.Itoa(step)
	err := errors.Join(
		tx.PutNetwork(Network{Name: name, Labels: map[string]string{"pad": strings.Repeat("x", step*37%5000)}}),
		tx.PutSandbox(Sandbox{Name: name}),
		tx.PutPublish(Publish{Proto: "tcp", HostIP: netip.IPv4Unspecified(), HostPort: uint16(step), Sandbox: name}))
	if gone := strconv.Itoa(step - 20); step > 20 {
		err = errors.Join(err, tx.DeleteNetwork(gone), tx.DeleteSandbox(gone),
			tx.DeletePublish(PublishKey{"tcp", netip.IPv4Unspecified(), uint16(step - 20)}))
	}
	return err
}

// lastStep checks that the state is that after some whole step, and says which.
func lastStep(t *testing.T, st State) int {
	t.Helper()
	last := 0
	for _, p := range st.Publishes {
		last = max(last, int(p.HostPort))
	}
	names := map[string]int{}
	for i := range st.Publishes {
		names[st.Publishes[i].Sandbox]++
	}
	for _, n := range st.Networks {
		names[n.Name]++
	}
	for _, s := range st.Sandboxes {
		names[s.Name]++
	}
	for step := max(1, last-19); step <= last; step++ {
		if names[strconv.Itoa(step)] != 3 {
			t.Fatalf("step %d of %d is there in %d of 3 buckets", step, last, names[strconv.Itoa(step)])
		}
	}
	if len(names) != min(20, last) {
		t.Fatalf("after step %d there are %d names", last, len(names))
	}
	return last
}

func TestKilledWhileWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ebnet.db")
	for round := range 10 {
		cmd, out := child(t, path)
		said := 0
		for n := 0; n < 10+7*round && out.Scan(); {
			if step, err := strconv.Atoi(out.Text()); err == nil {
				said = step
				n++
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() { // what it said before it died
			if step, err := strconv.Atoi(out.Text()); err == nil {
				said = step
			}
		}
		_ = cmd.Wait()
		s := open(t, path)
		if last := lastStep(t, state(t, s)); said == 0 || last < said {
			t.Fatalf("it said that step %d is stored, but the last one is %d", said, last)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ebnet.db")
	cmd, out := child(t, path)
	if !out.Scan() || out.Text() != "open" {
		t.Fatalf("the other agent says %q", out.Text())
	}
	go func() { // so that it does not wait for us
		for out.Scan() {
		}
	}()
	_, err := Open(path)
	var inUse *InUseError
	if !errors.Is(err, ErrInUse) || !errors.As(err, &inUse) || inUse.PID != cmd.Process.Pid || inUse.Path != path {
		t.Errorf("Open = %v, want ErrInUse naming pid %d", err, cmd.Process.Pid)
	}
	if want := fmt.Sprintf("open %s: store in use by another agent (pid %d)", path, cmd.Process.Pid); err == nil || err.Error() != want {
		t.Errorf("Open = %v, want %s", err, want)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	open(t, path) // waits for the lock of one that dies
}
