package lab

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// SNMP reads one of the kernel's own counters on the machine, such as "Udp" and
// "InDatagrams", from /proc/net/snmp.
func (m *Machine) SNMP(protocol, counter string) int {
	m.lab.t.Helper()
	var text []byte
	m.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] != protocol+":" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, name := range names {
			if name == counter {
				value, err := strconv.Atoi(words[i])
				if err != nil {
					m.lab.t.Fatalf("read %s %s: %v", protocol, counter, err)
				}
				return value
			}
		}
	}
	m.lab.t.Fatalf("no counter %s %s", protocol, counter)
	return 0
}

// TCPInfo is what the kernel has counted for a connection.
func TCPInfo(conn net.Conn) (*unix.TCPInfo, error) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is no socket", conn)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	var info *unix.TCPInfo
	if ctlErr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); ctlErr != nil {
		return nil, ctlErr
	}
	return info, err
}
