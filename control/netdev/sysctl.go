package netdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// sysctlMax is the longest value that ReadSysctl reads, in bytes. The longest
// there is, every second port in ip_local_reserved_ports, has 190 KB.
const sysctlMax = 1 << 18

// ReadSysctl reads a sysctl of the calling thread's network namespace. The name
// is as sysctl(8) takes it, with dots or slashes: the first of the two divides, so
// net/ipv4/conf/eth0.100/forwarding names a device with a dot.
func ReadSysctl(name string) (string, error) {
	f, err := os.Open(sysctlPath(name))
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", name, err)
	}
	defer f.Close()
	// One read has to take it all: a second one finds nothing.
	for size := 4 << 10; ; size = sysctlMax {
		buf := make([]byte, size)
		n, err := unix.Pread(int(f.Fd()), buf, 0)
		if err != nil {
			return "", fmt.Errorf("read sysctl %s: %w", name, err)
		}
		if n < size || size == sysctlMax {
			return strings.TrimSpace(string(buf[:n])), nil
		}
	}
}

// WriteSysctl sets a sysctl of the calling thread's network namespace.
func WriteSysctl(name, value string) error {
	f, err := os.OpenFile(sysctlPath(name), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write sysctl %s: %w", name, err)
	}
	defer f.Close()
	if _, err := f.WriteString(value + "\n"); err != nil {
		return fmt.Errorf("write sysctl %s=%s: %w", name, value, err)
	}
	return nil
}

// ensureSysctl sets a sysctl where it differs. One that the kernel does not have,
// as all of IPv6 when that is off, is as good as set.
func ensureSysctl(name, value string) error {
	have, err := ReadSysctl(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || have == value {
		return err
	}
	return WriteSysctl(name, value)
}

// devSysctl names a device's sysctl; a device's name may have dots in it.
func devSysctl(family, dev, key string) string {
	return "net/" + family + "/conf/" + dev + "/" + key
}

func sysctlPath(name string) string {
	if i := strings.IndexAny(name, "./"); i >= 0 && name[i] == '.' {
		// Behind the first dot each one stands for the other.
		name = strings.NewReplacer(".", "/", "/", ".").Replace(name)
	}
	return "/proc/sys/" + name
}

// ErrNoIPv6 says that the host's IPv6 is off.
var ErrNoIPv6 = errors.New("IPv6 is switched off on this host")

// CheckIPv6 says whether devices of the calling thread's network namespace can have IPv6
// addresses. It wraps ErrNoIPv6.
func CheckIPv6() error {
	const name = "net.ipv6.conf.all.disable_ipv6"
	off, err := ReadSysctl(name)
	if errors.Is(err, fs.ErrNotExist) { // ipv6.disable=1, or a kernel without
		return fmt.Errorf("%w: its kernel has none, see ipv6.disable in /proc/cmdline", ErrNoIPv6)
	}
	if err == nil && off != "0" {
		return fmt.Errorf("%w: %s is %s", ErrNoIPv6, name, off)
	}
	return err
}
