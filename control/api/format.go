package api

import (
	"net/netip"
	"strconv"
)

// Ports counts the container ports of the range.
func (s PublishSpec) Ports() int {
	return int(s.PortEnd) - int(s.Port) + 1
}

// Host is the host side of the spec.
func (s PublishSpec) Host() HostSpec {
	return HostSpec{HostIP: s.HostIP, HostPort: s.HostPort, HostPortEnd: s.HostPortEnd, Proto: s.Proto}
}

// String is the form that ParsePublish reads.
func (s PublishSpec) String() string {
	return formatHost(s.HostIP) + formatRange(s.HostPort, s.HostPortEnd) + ":" + formatRange(s.Port, s.PortEnd) + "/" + s.Proto
}

// String is the form that ParseHostSpec reads.
func (s HostSpec) String() string {
	return formatHost(s.HostIP) + formatRange(s.HostPort, s.HostPortEnd) + "/" + s.Proto
}

// Host is the host side of what is published, as `ebnet unpublish` takes it.
// The zero HostIP stands for an address that does not parse.
func (p Publish) Host() HostSpec {
	addr, _ := netip.ParseAddr(p.HostIP)
	return HostSpec{HostIP: addr, HostPort: p.HostPort, HostPortEnd: p.HostPortEnd, Proto: p.Proto}
}

func formatHost(addr netip.Addr) string {
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return addr.String() + ":"
	}
	return "[" + addr.String() + "]:"
}

func formatRange(first, last uint16) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return strconv.Itoa(int(first)) + "-" + strconv.Itoa(int(last))
}
