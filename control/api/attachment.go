package api

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

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
		mac, err := ParseMAC(value)
		if err != nil {
			return err
		}
		a.MAC = mac
	default:
		return fmt.Errorf("unknown option %s: use ip or mac", quote(key))
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
