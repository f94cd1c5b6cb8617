package api

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// MaxName is the length of the longest name, in bytes.
const MaxName = 48

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

// ParseAttachment parses the value of --network: NAME, NAME,ip=IP,mac=MAC,
// Docker's name=NAME,ip=IP and podman's NAME:ip=IP. It wraps ErrBadRequest.
func ParseAttachment(text string) (Attachment, error) {
	attachment, err := parseAttachment(text)
	if err != nil {
		return Attachment{}, Errorf(CodeBadRequest, "bad network %s: %w", quote(text), err)
	}
	return attachment, nil
}

func parseAttachment(text string) (Attachment, error) {
	var attachment Attachment
	name, options := text, ""
	if i := strings.IndexAny(text, ":,="); i >= 0 {
		name, options = text[:i], text[i+1:]
		if text[i] == '=' {
			name, options = "", text
		}
		if options == "" {
			return attachment, fmt.Errorf("nothing stands behind %q", text[i:i+1])
		}
	}
	attachment.Network = name
	if options != "" {
		for option := range strings.SplitSeq(options, ",") {
			if err := attachment.set(option); err != nil {
				return Attachment{}, err
			}
		}
	}
	if err := ValidName(attachment.Network); err != nil {
		return Attachment{}, err
	}
	return attachment, nil
}

// set applies one KEY=VALUE of --network.
func (a *Attachment) set(option string) error {
	key, value, found := strings.Cut(option, "=")
	if !found {
		return fmt.Errorf("option %s has no value: write KEY=VALUE", quote(option))
	}
	switch key {
	case "name":
		if a.Network != "" {
			return fmt.Errorf("two names: %s and %s", quote(a.Network), quote(value))
		}
		a.Network = value
	case "ip":
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" {
			return fmt.Errorf("ip %s is not an IP address", quote(value))
		}
		if a.IP.IsValid() {
			return fmt.Errorf("two addresses: %s and %s", a.IP, addr)
		}
		a.IP = addr.Unmap()
	case "mac", "mac-address":
		mac, err := net.ParseMAC(value)
		if err != nil || len(mac) != 6 {
			return fmt.Errorf("mac %s is not a MAC address such as 02:42:ac:12:00:02", quote(value))
		}
		if mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00" {
			return fmt.Errorf("mac %s is not the address of one interface", mac)
		}
		a.MAC = mac.String()
	default:
		return fmt.Errorf("unknown option %s: use ip or mac", quote(key))
	}
	return nil
}

// ValidName holds that a new name has 1 to 48 of [a-zA-Z0-9_.-], the first a
// letter or digit. It wraps ErrBadRequest.
func ValidName(name string) error {
	if name == "" {
		return Errorf(CodeBadRequest, "bad name \"\": it is empty")
	}
	if len(name) > MaxName {
		return Errorf(CodeBadRequest, "name %s is too long: %d characters, %d are allowed", quote(name), len([]rune(name)), MaxName)
	}
	for i, c := range []byte(name) {
		if isAlphanumeric(c) || i > 0 && strings.IndexByte("_.-", c) >= 0 {
			continue
		}
		return Errorf(CodeBadRequest, "bad name %s: use a-z, A-Z, 0-9 and _.-, the first a letter or digit", quote(name))
	}
	return nil
}

// ValidRef holds that text can name something that exists: NAME, or
// ENGINE/NAME for things of an engine. It wraps ErrBadRequest.
func ValidRef(text string) error {
	if engine, name, found := strings.Cut(text, "/"); found {
		if err := ValidName(engine); err != nil {
			return err
		}
		return ValidName(name)
	}
	return ValidName(text)
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
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
