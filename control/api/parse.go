package api

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxShown bounds how much of a bad input an error repeats, in bytes.
const maxShown = 80

// ParsePublish parses Docker's [HOSTIP:]HOSTPORT[-END]:PORT[-END][/PROTO]. A
// HOSTPORT that is 0, empty or left out asks ebnet to choose; HostPortEnd is
// then 0, too. It wraps ErrBadRequest.
func ParsePublish(text string) (PublishSpec, error) {
	spec, err := parsePublish(text)
	if err != nil {
		return PublishSpec{}, Errorf(CodeBadRequest, "bad port %s: %w", quote(text), err)
	}
	return spec, nil
}

func parsePublish(text string) (PublishSpec, error) {
	var spec PublishSpec
	rest, proto, err := cutProto(text)
	if err != nil {
		return spec, err
	}
	spec.Proto = proto
	host, container := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, container = rest[:i], rest[i+1:]
	}
	if container == "" {
		return spec, fmt.Errorf("the container port is missing: write HOSTPORT:PORT")
	}
	if strings.HasSuffix(container, "]") {
		return spec, fmt.Errorf("the ports are missing: write [HOSTIP]:HOSTPORT:PORT")
	}
	spec.Port, spec.PortEnd, err = parseRange("container port", container)
	if err != nil {
		return spec, err
	}
	if spec.Port == 0 {
		return spec, fmt.Errorf("container port 0 is out of range (1 to 65535)")
	}
	hostIP, hostPort, err := cutHostIP(host)
	if err != nil {
		return spec, err
	}
	spec.HostIP = hostIP
	if hostPort != "" {
		spec.HostPort, spec.HostPortEnd, err = parseRange("host port", hostPort)
		if err != nil {
			return spec, err
		}
	}
	return spec, sameLength(spec)
}

// sameLength holds that each host port has one container port.
func sameLength(spec PublishSpec) error {
	hosts, containers := int(spec.HostPortEnd)-int(spec.HostPort)+1, spec.Ports()
	if spec.HostPort == 0 || hosts == containers {
		return nil
	}
	return fmt.Errorf("the ranges differ in length: %s on the host (%d), %s in the container (%d)",
		formatRange(spec.HostPort, spec.HostPortEnd), hosts, formatRange(spec.Port, spec.PortEnd), containers)
}

// ParseHostSpec parses the host side of a published port,
// [HOSTIP:]HOSTPORT[-END][/PROTO]. It wraps ErrBadRequest.
func ParseHostSpec(text string) (HostSpec, error) {
	spec, err := parseHostSpec(text)
	if err != nil {
		return HostSpec{}, Errorf(CodeBadRequest, "bad port %s: %w", quote(text), err)
	}
	return spec, nil
}

func parseHostSpec(text string) (HostSpec, error) {
	var spec HostSpec
	rest, proto, err := cutProto(text)
	if err != nil {
		return spec, err
	}
	spec.Proto = proto
	hostIP, ports, err := cutHostIP(rest)
	if err != nil {
		return spec, err
	}
	spec.HostIP = hostIP
	if ports == "" {
		return spec, fmt.Errorf("the host port is missing: write [HOSTIP:]HOSTPORT[-END][/PROTO]")
	}
	spec.HostPort, spec.HostPortEnd, err = parseRange("host port", ports)
	if err == nil && spec.HostPort == 0 {
		err = fmt.Errorf("host port 0 is out of range (1 to 65535)")
	}
	return spec, err
}

// cutProto splits off /PROTO; without one it is tcp.
func cutProto(text string) (rest, proto string, err error) {
	if text == "" {
		return "", "", fmt.Errorf("it is empty: write HOSTPORT:PORT")
	}
	rest, proto, found := strings.Cut(text, "/")
	if !found {
		return rest, "tcp", nil
	}
	switch proto = strings.ToLower(proto); proto {
	case "tcp", "udp", "sctp":
		return rest, proto, nil
	case "":
		return "", "", fmt.Errorf("the protocol behind the slash is missing: use tcp, udp or sctp")
	}
	return "", "", fmt.Errorf("unknown protocol %s: use tcp, udp or sctp", quote(proto))
}

// cutHostIP splits [HOSTIP:]PORTS; an IPv6 address stands in brackets.
func cutHostIP(text string) (netip.Addr, string, error) {
	var none netip.Addr
	ip, ports := "", text
	if strings.HasPrefix(text, "[") {
		inside, rest, found := strings.Cut(text[1:], "]")
		if !found {
			return none, "", fmt.Errorf("the bracket of the host address is not closed")
		}
		if !strings.HasPrefix(rest, ":") {
			return none, "", fmt.Errorf("the host port behind %s is missing: write [HOSTIP]:HOSTPORT", quote("["+inside+"]"))
		}
		ip, ports = inside, rest[1:]
		if addr, err := netip.ParseAddr(ip); err != nil || !addr.Is6() {
			return none, "", fmt.Errorf("bad host address %s: not an IPv6 address", quote("["+inside+"]"))
		}
	} else if i := strings.LastIndexByte(text, ':'); i >= 0 {
		ip, ports = text[:i], text[i+1:]
		if ip == "" {
			return none, "", fmt.Errorf("the host address in front of the colon is missing")
		}
	}
	if ip == "" {
		return none, ports, nil
	}
	if !strings.HasPrefix(text, "[") && strings.Contains(ip, ":") {
		if _, err := netip.ParseAddr(ip); err == nil {
			return none, "", fmt.Errorf("an IPv6 host address stands in brackets: [%s]", ip)
		}
		return none, "", fmt.Errorf("too many colons: write [HOSTIP:]HOSTPORT:PORT")
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return none, "", fmt.Errorf("bad host address %s: not an IP address", quote(ip))
	}
	if addr.Zone() != "" {
		return none, "", fmt.Errorf("bad host address %s: it names an interface, which ebnet does not support", quote(ip))
	}
	return addr.Unmap(), ports, nil
}

// parseRange parses PORT or PORT-END; what names it in errors.
func parseRange(what, text string) (first, last uint16, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if first, err = parsePort(what, from); err != nil {
		return 0, 0, err
	}
	if !isRange {
		return first, first, nil
	}
	if last, err = parsePort(what, to); err != nil {
		return 0, 0, err
	}
	if first == 0 || last == 0 {
		return 0, 0, fmt.Errorf("%s 0 is out of range (1 to 65535)", what)
	}
	if first > last {
		return 0, 0, fmt.Errorf("the range %d-%d is reversed: write %d-%d", first, last, last, first)
	}
	return first, last, nil
}

func parsePort(what, text string) (uint16, error) {
	if text == "" {
		return 0, fmt.Errorf("a %s is missing", what)
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%s %s is not a number", what, quote(text))
		}
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s %s is out of range (1 to 65535)", what, shorten(text))
	}
	return uint16(port), nil
}

// quote shows input of any length and content on one line.
func quote(text string) string {
	return strconv.Quote(shorten(text))
}

func shorten(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "..."
}
