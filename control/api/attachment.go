package api

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// ParseAttachment parses the value of --network: NAME, NAME,ip=IP,ip6=IP6,mac=MAC,
// Docker's name=NAME,ip=IP and podman's NAME:ip=IP, in which ip may be of either
// family. It wraps ErrBadRequest.
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
	case "ip", "ip6":
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" {
			return fmt.Errorf("%s %s is not an IP address", key, quote(value))
		}
		addr = addr.Unmap()
		if key == "ip6" && addr.Is4() {
			return fmt.Errorf("ip6 %s is not an IPv6 address", quote(value))
		}
		field := &a.IP
		if addr.Is6() {
			field = &a.IP6
		}
		if field.IsValid() {
			return fmt.Errorf("two addresses: %s and %s", field, addr)
		}
		*field = addr
	case "mac", "mac-address":
		mac, err := ParseMAC(value)
		if err != nil {
			return err
		}
		a.MAC = mac
	default:
		return fmt.Errorf("unknown option %s: use ip, ip6 or mac", quote(key))
	}
	return nil
}

// ParseMAC holds that text is the MAC address of one interface, and returns it
// as ip shows it. It wraps ErrBadRequest.
func ParseMAC(text string) (string, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 {
		return "", Errorf(CodeBadRequest, "mac %s is not a MAC address such as 02:42:ac:12:00:02", quote(text))
	}
	if mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00" {
		return "", Errorf(CodeBadRequest, "mac %s is not the address of one interface", mac)
	}
	return mac.String(), nil
}
