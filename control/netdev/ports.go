package netdev

import (
	"fmt"
	"iter"
	"math/bits"
	"os"
	"strconv"
	"strings"
)

const reservedPorts = "net/ipv4/ip_local_reserved_ports"

// reservedPiece is how many bytes of a list the kernel takes in one write: it
// stops at a page less one.
const reservedPiece = 4095

// PortSet is a set of ports. The zero value is empty; sets compare with ==.
type PortSet struct {
	words [65536 / 64]uint64
}

// Add puts the ports first to last in; nothing if last is less than first.
func (s *PortSet) Add(first, last uint16) {
	for p := int(first); p <= int(last); p++ {
		s.words[p/64] |= 1 << (p % 64)
	}
}

// Remove takes the ports first to last out.
func (s *PortSet) Remove(first, last uint16) {
	for p := int(first); p <= int(last); p++ {
		s.words[p/64] &^= 1 << (p % 64)
	}
}

// Has says whether the port is in the set.
func (s *PortSet) Has(port uint16) bool { return s.words[port/64]>>(port%64)&1 == 1 }

// Len is the number of ports in the set.
func (s *PortSet) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// Union is what is in either set.
func (s *PortSet) Union(o PortSet) PortSet {
	for i := range o.words {
		o.words[i] |= s.words[i]
	}
	return o
}

// Minus is what is in s but not in o.
func (s *PortSet) Minus(o PortSet) PortSet {
	for i := range o.words {
		o.words[i] = s.words[i] &^ o.words[i]
	}
	return o
}

// Ranges yields first and last port of each run of ports, lowest first.
func (s *PortSet) Ranges() iter.Seq2[uint16, uint16] {
	return func(yield func(first, last uint16) bool) {
		for p := 0; p <= 65535; p++ {
			if s.words[p/64] == 0 {
				p |= 63
				continue
			}
			if !s.Has(uint16(p)) {
				continue
			}
			first := p
			for p < 65535 && s.Has(uint16(p+1)) {
				p++
			}
			if !yield(uint16(first), uint16(p)) {
				return
			}
		}
	}
}

// String writes the set as the kernel does: "80,8000-8010".
func (s PortSet) String() string { return strings.Join(s.items(), ",") }

func (s *PortSet) items() []string {
	var items []string
	for first, last := range s.Ranges() {
		item := strconv.Itoa(int(first))
		if last > first {
			item += "-" + strconv.Itoa(int(last))
		}
		items = append(items, item)
	}
	return items
}

// ParsePortSet reads what String writes. Empty text is the empty set.
func ParsePortSet(text string) (PortSet, error) {
	var set PortSet
	text = strings.TrimSpace(text)
	if text == "" {
		return set, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		if err != nil {
			return PortSet{}, fmt.Errorf("parse ports %q: %w", item, err)
		}
		last, err := strconv.ParseUint(to, 10, 16)
		if err != nil {
			return PortSet{}, fmt.Errorf("parse ports %q: %w", item, err)
		}
		if last < first {
			return PortSet{}, fmt.Errorf("parse ports %q: range ends before it begins", item)
		}
		set.Add(uint16(first), uint16(last))
	}
	return set, nil
}

// ReadReservedPorts reads the ports that the kernel does not choose by itself,
// in the calling thread's network namespace.
func ReadReservedPorts() (PortSet, error) {
	text, err := ReadSysctl(reservedPorts)
	if err != nil {
		return PortSet{}, err
	}
	return ParsePortSet(text)
}

// WriteReservedPorts makes set the ports that the kernel does not choose by
// itself. A list longer than a page arrives in pieces, so that for a moment a part
// of it may be missing.
func WriteReservedPorts(set PortSet) error {
	f, err := os.OpenFile(sysctlPath(reservedPorts), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write reserved ports: %w", err)
	}
	defer f.Close()
	// The kernel takes the first write for the whole list and adds later ones to it.
	for _, piece := range pieces(set.items(), reservedPiece) {
		if _, err := f.WriteString(piece); err != nil {
			return fmt.Errorf("write reserved ports: %w", err)
		}
	}
	return nil
}

// pieces joins the items with commas to lines of no more than limit bytes; there
// is always one, if only an empty line.
func pieces(items []string, limit int) []string {
	var lines []string
	var line strings.Builder
	for _, item := range items {
		if line.Len() > 0 && line.Len()+len(",\n")+len(item) > limit {
			lines = append(lines, line.String()+"\n")
			line.Reset()
		}
		if line.Len() > 0 {
			line.WriteByte(',')
		}
		line.WriteString(item)
	}
	return append(lines, line.String()+"\n")
}

// LocalPorts is the range that the kernel chooses ports of outgoing connections from
// (net.ipv4.ip_local_port_range).
func LocalPorts() (first, last uint16, err error) {
	const name = "net/ipv4/ip_local_port_range"
	text, err := ReadSysctl(name)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(text, &first, &last); err != nil {
		return 0, 0, fmt.Errorf("read sysctl %s: %q: %w", name, text, err)
	}
	return first, last, nil
}
