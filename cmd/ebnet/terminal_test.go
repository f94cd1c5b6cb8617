package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRunKeepsTheTerminal reads from a terminal in the command and, when it has
// ended, in the shell around ebnet; in between Ctrl-C reaches the command alone.
func TestRunKeepsTheTerminal(t *testing.T) {
	h := newHouse(t)
	ebnet := h.ebnet()
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte{0}, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `trap "" TTOU; "$0" run -- "$1"; echo none $?; "$0" run -- env `+beReader+`=1 "$0"; echo status $?; read c; echo outer $c`, ebnet.Path, garbage)
	cmd.Env = ebnet.Env
	master, slave := openTerminal(t)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	slave.Close()
	expect := expecter(t, master)
	expect("none 126") // and the terminal is the shell's again
	expect("ready")
	io.WriteString(master, "\x03")
	expect("caught")
	io.WriteString(master, "two\n")
	expect("inner two")
	expect("status 0")
	io.WriteString(master, "three\n")
	expect("outer three")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	h.gone(t)
}

// beReader makes the test binary the command that reads from the terminal.
const beReader = "EBNET_TEST_READ_LINE"

// readLine says when it is ready, when it is interrupted and what it has read. A
// shell would not do: a signal between its "ready" and its read waits for a line.
func readLine() {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	lines := make(chan string)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		lines <- line
	}()
	fmt.Println("ready")
	for {
		select {
		case <-interrupts:
			fmt.Println("caught")
		case line := <-lines:
			fmt.Print("inner ", line)
			return
		}
	}
}

func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// expecter waits for texts on a terminal, one behind the other.
func expecter(t *testing.T, master io.Reader) func(string) {
	chunks := make(chan string)
	go func() {
		defer close(chunks)
		buffer := make([]byte, 1024)
		for {
			n, err := master.Read(buffer)
			if err != nil {
				return // EIO: nobody has the terminal open any more
			}
			chunks <- string(buffer[:n])
		}
	}()
	seen := ""
	deadline := time.After(patience)
	return func(text string) {
		t.Helper()
		for {
			if _, rest, found := strings.Cut(seen, text); found {
				seen = rest
				return
			}
			select {
			case chunk, open := <-chunks:
				if !open {
					t.Fatalf("the terminal closed before %q, having shown %q", text, seen)
				}
				seen += chunk
			case <-deadline:
				t.Fatalf("no %q, but %q", text, seen)
			}
		}
	}
}
