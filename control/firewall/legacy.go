package firewall

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	natTable     = "nat"
	legacyNames  = "/proc/thread-self/net/ip_tables_names"
	legacyNames6 = "/proc/thread-self/net/ip6_tables_names"
)

// What linux/netfilter_ipv4/ip_tables.h and x_tables.h say of the older interface
// of iptables; lengths and offsets are in bytes.
const (
	getInfo    = 64 // IPT_SO_GET_INFO
	getEntries = 65 // IPT_SO_GET_ENTRIES

	infoLength = 84 // struct ipt_getinfo, the table's name at its start
	infoSize   = 80 // the size of the table's entries

	entriesSize  = 32 // struct ipt_get_entries, likewise: the size that the asker expects
	entriesStart = 40

	entryTarget = 88 // struct ipt_entry: where its target begins
	entryNext   = 90 // where the next entry begins
	entryLength = 112

	targetName  = 2 // struct xt_entry_target
	targetStart = 32

	// errorTarget heads each chain that somebody made: its data is the chain's name.
	errorTarget = "ERROR"
)

// legacyTables are those that are there in the older interface of iptables. Whoever
// asks for a table itself makes it.
func legacyTables(names string) ([]string, error) {
	list, err := os.ReadFile(names)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EINVAL) {
		return nil, nil // the kernel has no tables
	}
	return strings.Fields(string(list)), err
}

// hasLegacyTable tells whether a table is there in the older interface of iptables.
func hasLegacyTable(names, table string) (bool, error) {
	tables, err := legacyTables(names)
	return slices.Contains(tables, table), err
}

// legacyDocker tells whether Docker's chain is in the nat table of the older interface.
func legacyDocker() (bool, error) {
	there, err := hasLegacyTable(legacyNames, natTable)
	if err != nil || !there {
		return false, err
	}
	entries, err := legacyEntries(natTable)
	if err != nil {
		return false, err
	}
	chains, err := parseLegacyChains(entries)
	return slices.Contains(chains, dockerChain), err
}

// legacyEntries reads the rules of a table that is there.
func legacyEntries(table string) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	defer unix.Close(fd)
	for try := 1; ; try++ {
		info := make([]byte, infoLength)
		copy(info, table)
		if err := getsockopt(fd, getInfo, info); err != nil {
			return nil, fmt.Errorf("read table %s: %w", table, err)
		}
		size := binary.NativeEndian.Uint32(info[infoSize:])
		entries := make([]byte, entriesStart+int(size))
		copy(entries, table)
		binary.NativeEndian.PutUint32(entries[entriesSize:], size)
		err := getsockopt(fd, getEntries, entries)
		if err == nil {
			return entries[entriesStart:], nil
		}
		// EAGAIN: it has another size by now.
		if !errors.Is(err, unix.EAGAIN) || try == tries {
			return nil, fmt.Errorf("read entries of table %s: %w", table, err)
		}
	}
}

// getsockopt asks for what the buffer names, which then has the answer.
func getsockopt(fd, option int, buf []byte) error {
	length := uint32(len(buf))
	_, _, errno := unix.Syscall6(
		unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_IP, uintptr(option),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&length)), 0,
	)
	if errno != 0 {
		return errno
	}
	return nil
}

// parseLegacyChains lists the chains of a table that are not the kernel's own.
func parseLegacyChains(entries []byte) (chains []string, err error) {
	for len(entries) > 0 {
		if len(entries) < entryLength {
			return nil, fmt.Errorf("entry of %d bytes is too short", len(entries))
		}
		target := int(binary.NativeEndian.Uint16(entries[entryTarget:]))
		next := int(binary.NativeEndian.Uint16(entries[entryNext:]))
		if next > len(entries) || target < entryLength || target+targetStart > next {
			return nil, fmt.Errorf("entry of %d bytes has its target at %d and ends at %d", len(entries), target, next)
		}
		name := entries[target+targetName : target+targetStart]
		if text(name) == errorTarget {
			// The table ends with one of the same name, which is no chain.
			if chain := text(entries[target+targetStart : next]); chain != errorTarget {
				chains = append(chains, chain)
			}
		}
		entries = entries[next:]
	}
	return chains, nil
}

// text is what is before the first zero byte.
func text(data []byte) string {
	before, _, _ := bytes.Cut(data, []byte{0})
	return string(before)
}
