package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/ebnet/ebnet/control/netdev"
)

// say narrates.
func (w *world) say(format string, args ...any) {
	fmt.Printf("\n# "+format+"\n", args...)
}

// run shows a command as one would type it, runs it on a machine and shows what it says.
func (w *world) run(m machine, args ...string) error {
	fmt.Println(m.prompt(), strings.Join(args, " "))
	out, err := w.quietly(m, args...)
	fmt.Print(indent(out))
	return err
}

// quietly runs a command on a machine and returns its output.
func (w *world) quietly(m machine, args ...string) (string, error) {
	cmd := w.command(args)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := netdev.Do(m.path, cmd.Start); err != nil {
		return "", fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, &out)
	}
	return out.String(), nil
}

// start starts a command on a machine that runs beside the demo. Its output goes to the
// log, which is shown if the demo fails.
func (w *world) start(m machine, args ...string) (*exec.Cmd, error) {
	cmd := w.command(args)
	cmd.Stdout, cmd.Stderr = w.log, w.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := netdev.Do(m.path, cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	w.running = append(w.running, cmd)
	return cmd, nil
}

// command is args as they are run: with the binary that is shown, this program in the
// place of curl and of the web server, and the demo's own socket in the environment.
func (w *world) command(args []string) *exec.Cmd {
	full := append([]string(nil), args...)
	for i, arg := range full {
		switch {
		case arg == "ebnet" && i == 0:
			full[0] = w.ebnet
		case arg == "webserver":
			full[i] = w.self
		}
	}
	cmd := exec.Command(full[0], full[1:]...)
	cmd.Env = append(os.Environ(), "EBNET_SOCKET="+w.path("run", "ebnet.sock"))
	return cmd
}

// startAgent starts the agent with folders of its own, so that an ebnet that the
// machine runs for real is not touched.
func (w *world) startAgent() error {
	fmt.Println(w.host.prompt(), "ebnet agent &      (with --state, --run, --bpffs and --netns-prefix of the demo's own)")
	_, err := w.start(w.host, "ebnet", "agent", "--state", w.path("state"), "--run", w.path("run"),
		"--bpffs", w.path("bpf", "ebnet"), "--netns-prefix", w.prefix+"box-")
	return err
}

// startWeb starts a web server in a sandbox of its own.
func (w *world) startWeb(name, publish string) error {
	args := []string{"ebnet", "run", "--name", name, "-p", publish, "--", "webserver", "-serve", ":80"}
	fmt.Println(w.host.prompt(), strings.Join(args, " "), "&")
	_, err := w.start(w.host, args...)
	return err
}

// runClientWeb starts a web server on the client.
func (w *world) runClientWeb() error {
	fmt.Println(w.client.prompt(), "webserver -serve :80 &")
	_, err := w.start(w.client, "webserver", "-serve", ":80")
	return err
}

// fetch shows a page as a machine sees it; want is the address that the server has to
// see, empty for any.
func (w *world) fetch(m machine, url, want string) error {
	fmt.Println(m.prompt(), "curl", url)
	page, err := get(url, m.dial)
	fmt.Print(indent(page))
	return expect(page, want, err)
}

// fetchIn fetches a page in a sandbox.
func (w *world) fetchIn(sandbox, url, want string) error {
	fmt.Println(w.host.prompt(), "ebnet exec", sandbox, "-- curl", url)
	page, err := w.quietly(w.host, "ebnet", "exec", sandbox, "--", "webserver", "-fetch", url)
	fmt.Print(indent(page))
	return expect(page, want, err)
}

func expect(page, want string, err error) error {
	if err == nil && !strings.HasPrefix(page, "Hello "+want) {
		err = fmt.Errorf("the server sees %q, want %s", page, want)
	}
	return err
}

// counters shows the metrics of the given names that have counted something.
func (w *world) counters(names ...string) error {
	const url = "http://127.0.0.1:10469/metrics"
	fmt.Println(w.host.prompt(), "curl -s", url, "| grep -E '"+strings.Join(names, "|")+"' | grep -v ' 0$'")
	text, err := get(url, w.host.dial)
	if err != nil {
		return err
	}
	found := 0
	for line := range strings.Lines(text) {
		for _, name := range names {
			if strings.HasPrefix(line, name+"{") && !strings.HasSuffix(line, " 0\n") {
				fmt.Print(indent(line))
				found++
			}
		}
	}
	if found == 0 {
		return fmt.Errorf("no counters at %s", url)
	}
	return nil
}

// dial connects from a machine.
func (m machine) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	err = netdev.Do(m.path, func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

func (m machine) prompt() string { return m.name + "$" }

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}
