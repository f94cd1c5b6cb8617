package hostports

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestProbeSeesSockets(t *testing.T) {
	listener := spec{proto: "tcp", listen: true}
	bound := spec{proto: "tcp"}
	udp := spec{proto: "udp"}
	at := func(s spec, addr string) spec { s.at = addr; return s }
	with := func(s spec, more ...string) spec {
		for _, m := range more {
			switch m {
			case "reuse":
				s.reuse = true
			case "reuseport":
				s.reusePort = true
			case "v6only":
				s.v6only = true
			}
		}
		return s
	}
	for _, tc := range []struct {
		name  string
		has   spec
		proto string
		host  string
		addr  string // of the holder; empty: the port is free
		known bool   // the process is named
	}{
		{"listener on all", at(listener, "0.0.0.0:80"), "tcp", "0.0.0.0", "0.0.0.0", true},
		{"listener on all, one asked", at(listener, "0.0.0.0:80"), "tcp", "10.0.0.1", "0.0.0.0", true},
		{"listener on one, all asked", at(listener, "127.0.0.1:80"), "tcp", "0.0.0.0", "127.0.0.1", true},
		{"listener on one, another asked", at(listener, "127.0.0.1:80"), "tcp", "10.0.0.1", "", false},
		{"listener with both reuse flags", at(with(listener, "reuse", "reuseport"), "0.0.0.0:80"), "tcp", "0.0.0.0", "0.0.0.0", true},
		{"listener on [::]", at(listener, "[::]:80"), "tcp", "0.0.0.0", "::", true},
		{"listener on [::] with reuse, one asked", at(with(listener, "reuse"), "[::]:80"), "tcp", "127.0.0.1", "::", true},
		{"listener on [::] for IPv6 only", at(with(listener, "v6only"), "[::]:80"), "tcp", "0.0.0.0", "", false},
		{"listener on a mapped address", at(listener, "[::ffff:127.0.0.1]:80"), "tcp", "0.0.0.0", "127.0.0.1", true},
		{"listener on [::], IPv6 asked", at(with(listener, "v6only"), "[::]:80"), "tcp", "::", "::", true},
		{"listener on one, all IPv6 asked", at(listener, "[fd00::1]:80"), "tcp", "::", "fd00::1", true},
		{"listener on IPv4, IPv6 asked", at(listener, "0.0.0.0:80"), "tcp", "::", "", false},
		{"listener, UDP asked", at(listener, "0.0.0.0:80"), "udp", "0.0.0.0", "", false},
		{"bound, not listening", at(bound, "0.0.0.0:80"), "tcp", "0.0.0.0", "0.0.0.0", false},
		{"bound, not listening, reuse", at(with(bound, "reuse"), "0.0.0.0:80"), "tcp", "127.0.0.1", "127.0.0.1", false},
		{"UDP on all", at(udp, "0.0.0.0:80"), "udp", "0.0.0.0", "0.0.0.0", true},
		{"UDP on one with both reuse flags", at(with(udp, "reuse", "reuseport"), "127.0.0.1:80"), "udp", "0.0.0.0", "127.0.0.1", true},
		{"UDP on [::] with reuse", at(with(udp, "reuse"), "[::]:80"), "udp", "0.0.0.0", "::", true},
		{"UDP on [::] for IPv6 only", at(with(udp, "v6only"), "[::]:80"), "udp", "127.0.0.1", "", false},
		{"UDP, TCP asked", at(udp, "0.0.0.0:80"), "tcp", "0.0.0.0", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inNetns(t, func() error {
				fd, err := tc.has.open()
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				err = Probe(tc.proto, netip.MustParseAddr(tc.host), 78, 82)
				if tc.addr == "" {
					return err
				}
				var inUse *InUseError
				if !errors.Is(err, ErrInUse) || !errors.As(err, &inUse) {
					return fmt.Errorf("Probe = %v, want an InUseError", err)
				}
				want := InUseError{Proto: tc.proto, Addr: netip.MustParseAddr(tc.addr), Port: 80}
				if tc.known {
					want.PID, want.Process = os.Getpid(), comm(t)
				}
				if *inUse != want {
					return fmt.Errorf("Probe = %+v, want %+v", *inUse, want)
				}
				return nil
			})
		})
	}
}

func comm(t *testing.T) string {
	data, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(data))
}

// What the kernel remembers of closed connections holds no port; a connection
// that somebody has does.
func TestProbeAndConnections(t *testing.T) {
	inNetns(t, func() error {
		listener, err := spec{proto: "tcp", at: "10.0.0.1:80", listen: true}.open()
		if err != nil {
			return err
		}
		server, client, err := connect(listener, "10.0.0.1:80")
		unix.Close(listener)
		if err != nil {
			return err
		}
		if err := Probe("tcp", all4, 80, 80); !errors.Is(err, ErrInUse) {
			return fmt.Errorf("with a connection that is alive: %v, want ErrInUse", err)
		}
		unix.Close(server) // first, so that the server's side keeps the memory
		err = waitState(80, "05")
		if err == nil {
			err = Probe("tcp", all4, 80, 80)
		}
		unix.Close(client)
		if err != nil {
			return fmt.Errorf("in FIN_WAIT2: %w", err)
		}
		if err := waitState(80, "06"); err != nil {
			return err
		}
		if err := bindOnce("tcp", netip.AddrPortFrom(all4, 80), true); err == nil {
			return errors.New("the port binds in TIME_WAIT, so this test shows nothing")
		}
		for _, host := range []netip.Addr{all4, netip.MustParseAddr("10.0.0.1")} {
			if err := Probe("tcp", host, 80, 80); err != nil {
				return fmt.Errorf("%s in TIME_WAIT: %w", host, err)
			}
		}
		return probeInTimeWait()
	})
}

// probeInTimeWait: a listener is still found beside TIME_WAIT.
func probeInTimeWait() error {
	for _, s := range []spec{
		{proto: "tcp", at: "127.0.0.1:80", listen: true},
		{proto: "tcp", at: "[::ffff:127.0.0.1]:80", listen: true},
	} {
		fd, err := s.open()
		if err != nil {
			return err
		}
		err = Probe("tcp", all4, 80, 80)
		unix.Close(fd)
		if !errors.Is(err, ErrInUse) {
			return fmt.Errorf("%+v in TIME_WAIT: %w, want ErrInUse", s, err)
		}
	}
	return nil
}

// A server on [::] for IPv6 only is no reason beside the TIME_WAIT of a server
// for IPv4 that has gone; one for both families is.
func TestProbeTimeWaitBesideIPv6(t *testing.T) {
	inNetns(t, func() error {
		listener, err := spec{proto: "tcp", at: "10.0.0.1:80", reuse: true, listen: true}.open()
		if err != nil {
			return err
		}
		server, client, err := connect(listener, "10.0.0.1:80")
		if err != nil {
			return errors.Join(err, unix.Close(listener))
		}
		for _, fd := range []int{listener, server, client} {
			unix.Close(fd)
		}
		if err := waitState(80, "06"); err != nil {
			return err
		}
		for v6only, want := range map[bool]error{true: nil, false: ErrInUse} {
			fd, err := spec{proto: "tcp", at: "[::]:80", v6only: v6only, reuse: true, listen: true}.open()
			if err != nil {
				return err
			}
			err = Probe("tcp", all4, 80, 80)
			unix.Close(fd)
			if !errors.Is(err, want) {
				return fmt.Errorf("[::]:80, for IPv6 only: %t: %w, want %w", v6only, err, want)
			}
		}
		return nil
	})
}

// waitState waits until a socket of the port is in a state of /proc/net/tcp.
func waitState(port uint16, state string) error {
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		data, err := os.ReadFile(procNet + "tcp")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) > 3 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) && fields[3] == state {
				return nil
			}
		}
	}
	return fmt.Errorf("no socket of port %d in state %s", port, state)
}

func TestProbeNamesAnotherProcess(t *testing.T) {
	inNetns(t, func() error {
		fd, err := spec{proto: "tcp", at: "0.0.0.0:80", listen: true}.open()
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), "listener")
		cmd := exec.Command("sleep", "60")
		cmd.ExtraFiles = []*os.File{file}
		err = cmd.Start()
		file.Close()
		if err != nil {
			return err
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
		err = Probe("tcp", lan, 80, 80)
		want := fmt.Sprintf("probe 10.0.0.1:80/tcp: 0.0.0.0:80/tcp is in use by process %d (sleep)", cmd.Process.Pid)
		if err == nil || err.Error() != want {
			return fmt.Errorf("Probe = %w, want %s", err, want)
		}
		return nil
	})
}

func TestProbeNotLocal(t *testing.T) {
	inNetns(t, func() error {
		for _, host := range []string{"192.0.2.1", "2001:db8::1"} {
			for _, proto := range []string{"tcp", "udp"} {
				if err := Probe(proto, netip.MustParseAddr(host), 80, 80); !errors.Is(err, ErrNotLocal) {
					return fmt.Errorf("Probe %s on %s = %w, want ErrNotLocal", proto, host, err)
				}
			}
		}
		return nil
	})
}

// The whole range is free afterwards, and no descriptor is left.
func TestProbeManyPorts(t *testing.T) {
	inNetns(t, func() error {
		before := descriptors(t)
		began := time.Now()
		for _, proto := range []string{"tcp", "udp"} {
			for range 2 {
				if err := Probe(proto, all4, 1, 10000); err != nil {
					return err
				}
			}
		}
		t.Logf("4 times 10,000 ports in %v", time.Since(began))
		if after := descriptors(t); after > before {
			return fmt.Errorf("%d descriptors, before it were %d", after, before)
		}
		return nil
	})
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Error(err)
	}
	return len(entries)
}

func TestProbeSCTP(t *testing.T) {
	inNetns(t, func() error {
		loaded := kernelHasSCTP()
		if err := Probe("sctp", all4, 1, 100); err != nil {
			return err
		}
		if kernelHasSCTP() != loaded {
			return errors.New("the probe loaded the module")
		}
		return nil
	})
}
