package hostports

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
)

// procNet is the calling thread's network namespace; /proc/net is that of the
// process's first thread.
const procNet = "/proc/thread-self/net/"

// sock is one row of /proc/net/tcp and its kin.
type sock struct {
	local netip.AddrPort
	inode uint64 // 0 if no process has the socket
}

// table is all sockets of one protocol in both families, by local port.
type table struct {
	socks map[uint16][]sock
}

func readTable(proto string) (*table, error) {
	t := &table{socks: map[uint16][]sock{}}
	if proto == "sctp" {
		return t, nil // lists its endpoints in another form, and binds tell enough
	}
	for _, name := range []string{proto, proto + "6"} {
		f, err := os.Open(procNet + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		err = t.read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("list sockets in %s: %w", f.Name(), err)
		}
	}
	return t, nil
}

func (t *table) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Scan() // the heading
	for lines.Scan() {
		s, err := parseSock(lines.Bytes())
		if err != nil {
			return err
		}
		t.socks[s.local.Port()] = append(t.socks[s.local.Port()], s)
	}
	return lines.Err()
}

// parseSock reads one row: "sl local remote state queues timer retransmits uid timeout inode ...".
func parseSock(line []byte) (sock, error) {
	fields := bytes.Fields(line)
	if len(fields) < 10 {
		return sock{}, fmt.Errorf("parse socket %q: %d fields", line, len(fields))
	}
	local, err := parseAddrPort(string(fields[1]))
	if err != nil {
		return sock{}, fmt.Errorf("parse socket %q: %w", line, err)
	}
	inode, err := strconv.ParseUint(string(fields[9]), 10, 64)
	if err != nil {
		return sock{}, fmt.Errorf("parse socket %q: %w", line, err)
	}
	return sock{local: local, inode: inode}, nil
}

// parseAddrPort reads the kernel's "0100007F:1F90": the address as 32-bit words
// in the byte order of this machine, the port as a number.
func parseAddrPort(s string) (netip.AddrPort, error) {
	var raw [16]byte
	n := len(s) - 5
	if (n != 8 && n != 32) || s[n] != ':' {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	if _, err := hex.Decode(raw[:], []byte(s[:n])); err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", s, err)
	}
	port, err := strconv.ParseUint(s[n+1:], 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q: %w", s, err)
	}
	for i := 0; i < n/2; i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr := netip.AddrFrom16(raw)
	if n == 8 {
		addr = netip.AddrFrom4([4]byte(raw[:4]))
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// holding is a socket whose address overlaps the one that was asked for.
type holding struct {
	sock
	sure bool // false for [::], which holds the IPv4 port unless it is IPv6 only
}

type holdings []holding

// holders returns the sockets that overlap at.
func (t *table) holders(at netip.AddrPort) (found holdings) {
	for _, s := range t.socks[at.Port()] {
		addr := s.local.Addr()
		same := addr.Unmap() == at.Addr() ||
			addr.Unmap().IsUnspecified() || at.Addr().IsUnspecified()
		switch {
		case addr.Unmap().Is4() == at.Addr().Is4() && same:
			found = append(found, holding{s, true})
		case at.Addr().Is4() && addr == netip.IPv6Unspecified():
			found = append(found, holding{s, false})
		}
	}
	return found
}

// live returns a socket that certainly is in the way and that somebody has.
func (h holdings) live() (sock, bool) { return h.find(true) }

// maybe returns one that is in the way if it is not for IPv6 only.
func (h holdings) maybe() (sock, bool) { return h.find(false) }

// remains says whether there is one that no process has: of a closed connection.
func (h holdings) remains() bool {
	return slices.ContainsFunc(h, func(held holding) bool { return held.inode == 0 })
}

func (h holdings) find(sure bool) (sock, bool) {
	for _, held := range h {
		if held.sure == sure && held.inode != 0 {
			return held.sock, true
		}
	}
	return sock{}, false
}
