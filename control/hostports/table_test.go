package hostports

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

func TestParseSock(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the rows below are those of a little-endian machine")
	}
	for _, tc := range []struct {
		line  string
		local string
		inode uint64
	}{
		{"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8791 1 0000000000000000 100 0 0 10 0", "127.0.0.1:8080", 8791},
		{"   1: 0100000A:0016 0200000A:8A24 06 00000000:00000000 03:00001771 00000000     0        0 0 3 0000000000000000", "10.0.0.1:22", 0},
		{"   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1 0 100 0 0 10 0", "[::]:80", 9},
		{"   0: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 9 1 0", "[2001:db8::1]:80", 9},
		{"   0: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 9 1 0", "[::ffff:127.0.0.1]:80", 9},
	} {
		got, err := parseSock([]byte(tc.line))
		if err != nil || got.local != netip.MustParseAddrPort(tc.local) || got.inode != tc.inode {
			t.Errorf("parseSock(%q) = %v, %v, want %s with inode %d", tc.line, got, err, tc.local, tc.inode)
		}
	}
	if err := (&table{}).read(strings.NewReader("heading\nnonsense\n")); err == nil {
		t.Error("nonsense was read as a table")
	}
}

func FuzzParseSock(f *testing.F) {
	f.Add([]byte("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8791 1 0"))
	f.Add([]byte("0: :1 2 3 4 5 6 7 8 9"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if got, err := parseSock(line); err == nil && !got.local.IsValid() {
			t.Errorf("parseSock(%q) = %v without an error", line, got)
		}
	})
}
