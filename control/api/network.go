package api

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The drivers of networks that can be created.
const (
	DriverBridge = "bridge"
	DriverNone   = "none" // members have lo alone
)

// Docker's names of options that are the same settings as fields of NetworkCreate.
const (
	OptionBridge     = "com.docker.network.bridge.name"
	OptionICC        = "com.docker.network.bridge.enable_icc"
	OptionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	OptionHostIP     = "com.docker.network.bridge.host_binding_ipv4"
	OptionMTU        = "com.docker.network.driver.mtu"
)

// What an MTU may be, in bytes: IPv4 itself needs the one, its length field
// holds the other.
const (
	MinMTU = 68
	MaxMTU = 65535
)

// maxInterface is the length of the longest name of an interface, in bytes.
const maxInterface = 15

// Resolve applies the options to the fields that they stand for, fills in the
// driver, masks subnets and ranges, and holds all that can be held without a
// look at the host. The options stay as they are; resolving again changes
// nothing. It wraps ErrBadRequest.
func (c NetworkCreate) Resolve() (NetworkCreate, error) {
	if err := ValidName(c.Name); err != nil {
		return c, err
	}
	if c.Driver == "" {
		c.Driver = DriverBridge
	}
	for _, key := range slices.Sorted(maps.Keys(c.Options)) {
		if err := c.setOption(key, c.Options[key]); err != nil {
			return c, err
		}
	}
	c.Subnets, c.IPRanges = masked(c.Subnets), masked(c.IPRanges)
	for _, check := range []func() error{c.checkDriver, c.checkBridge, c.checkAddresses, c.checkHostIP} {
		if err := check(); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c *NetworkCreate) setOption(key, value string) error {
	bad := func(want string) error {
		return Errorf(CodeBadRequest, "bad option %s=%s: %s", key, shorten(value), want)
	}
	switch key {
	case OptionBridge:
		if value == "" {
			return bad("give the name of a bridge")
		}
		return take(&c.Bridge, value, "bridge", key)
	case OptionICC, OptionMasquerade:
		yes, err := strconv.ParseBool(value)
		if err != nil {
			return bad("use true or false")
		}
		no, name := &c.NoICC, "no-icc"
		if key == OptionMasquerade {
			no, name = &c.NoMasquerade, "no-masquerade"
		}
		if yes {
			if *no {
				return contradiction(name, true, key, true)
			}
			return nil
		}
		*no = true
		return nil
	case OptionHostIP:
		addr, err := netip.ParseAddr(value)
		if err != nil || !addr.Unmap().Is4() {
			return bad("give an IPv4 address")
		}
		return take(&c.HostIP, addr.Unmap(), "host-ip", key)
	case OptionMTU:
		mtu, err := strconv.Atoi(value)
		if err != nil || mtu < 1 {
			return bad("give a number of bytes")
		}
		return take(&c.MTU, mtu, "mtu", key)
	}
	known := []string{OptionBridge, OptionICC, OptionMasquerade, OptionHostIP, OptionMTU}
	return Errorf(CodeBadRequest, "unknown option %s: use %s", quote(key), strings.Join(known, ", "))
}

// take sets a field to what an option says, unless it says something else already.
func take[T comparable](field *T, value T, name, option string) error {
	var none T
	if *field != none && *field != value {
		return contradiction(name, *field, option, value)
	}
	*field = value
	return nil
}

func contradiction(name string, field any, option string, value any) error {
	return Errorf(CodeBadRequest, "%s %v contradicts option %s=%v: give one of them", name, field, option, value)
}

func masked(prefixes []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, prefix := range prefixes {
		all = append(all, prefix.Masked())
	}
	return all
}

// checkDriver holds that the driver is one that can be created, and that a
// network without interfaces is not told about theirs.
func (c NetworkCreate) checkDriver() error {
	switch c.Driver {
	case DriverBridge:
		return nil
	case DriverNone:
	case "host":
		return Errorf(CodeBadRequest, "bad driver %q: the network \"host\" is there already, and there can be only one", c.Driver)
	default:
		return Errorf(CodeBadRequest, "unknown driver %s: use bridge or none", quote(c.Driver))
	}
	for _, given := range []struct {
		name string
		is   bool
	}{
		{"subnet", len(c.Subnets) > 0},
		{"gateway", len(c.Gateways) > 0},
		{"ip-range", len(c.IPRanges) > 0},
		{"ipv6", c.IPv6},
		{"bridge", c.Bridge != ""},
		{"mtu", c.MTU != 0},
		{"internal", c.Internal},
		{"no-icc", c.NoICC},
		{"no-masquerade", c.NoMasquerade},
		{"host-ip", c.HostIP.IsValid()},
	} {
		if given.is {
			return Errorf(CodeBadRequest, "driver none has no use for %s: its sandboxes have lo alone", given.name)
		}
	}
	return nil
}

func (c NetworkCreate) checkBridge() error {
	if c.MTU != 0 && (c.MTU < MinMTU || c.MTU > MaxMTU) {
		return Errorf(CodeBadRequest, "mtu %d is out of range (%d to %d bytes)", c.MTU, MinMTU, MaxMTU)
	}
	if len(c.Bridge) > maxInterface {
		return Errorf(CodeBadRequest, "bridge name %s is too long: %d characters, %d are allowed", quote(c.Bridge), len([]rune(c.Bridge)), maxInterface)
	}
	odd := func(r rune) bool { return r <= ' ' || r == '/' || r == ':' || r == '%' || r > '~' }
	if c.Bridge == "." || c.Bridge == ".." || strings.ContainsFunc(c.Bridge, odd) {
		return Errorf(CodeBadRequest, "bad bridge name %s: an interface cannot have it", quote(c.Bridge))
	}
	if c.Bridge == "all" || c.Bridge == "default" {
		return Errorf(CodeBadRequest, "bad bridge name %s: the kernel keeps it for the settings of all interfaces", quote(c.Bridge))
	}
	return nil
}

// checkAddresses holds that gateways and ranges lie in the subnets. Without a
// subnet that is for those to see who choose one.
func (c NetworkCreate) checkAddresses() error {
	for i, subnet := range c.Subnets {
		if !subnet.IsValid() {
			return Errorf(CodeBadRequest, "bad subnet: not a CIDR")
		}
		for _, other := range c.Subnets[:i] {
			if subnet.Overlaps(other) {
				return Errorf(CodeBadRequest, "subnet %s overlaps subnet %s", subnet, other)
			}
		}
	}
	for _, gateway := range c.Gateways {
		holds := func(subnet netip.Prefix) bool { return subnet.Contains(gateway) }
		if len(c.Subnets) > 0 && !slices.ContainsFunc(c.Subnets, holds) {
			return Errorf(CodeBadRequest, "gateway %s is outside of the subnet %s", gateway, joined(c.Subnets))
		}
	}
	for _, part := range c.IPRanges {
		if len(c.Subnets) == 0 && c.Bridge != "" {
			continue // that may have one
		}
		if len(c.Subnets) == 0 {
			return Errorf(CodeBadRequest, "ip-range %s has no subnet to be in: give a subnet, too", part)
		}
		holds := func(subnet netip.Prefix) bool { return subnet.Contains(part.Addr()) && subnet.Bits() <= part.Bits() }
		if !slices.ContainsFunc(c.Subnets, holds) {
			return Errorf(CodeBadRequest, "ip-range %s is outside of the subnet %s", part, joined(c.Subnets))
		}
	}
	return nil
}

// checkHostIP holds that ports can be published on the address.
func (c NetworkCreate) checkHostIP() error {
	addr := c.HostIP.Unmap()
	switch {
	case addr.IsMulticast():
		return Errorf(CodeBadRequest, "bad host-ip %s: it is of a group, not of a host", addr)
	case addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return Errorf(CodeBadRequest, "bad host-ip %s: it means every host", addr)
	case addr.IsUnspecified() && c.HostIP != netip.IPv4Unspecified():
		return Errorf(CodeBadRequest, "bad host-ip %s: use 0.0.0.0 for all addresses of the host", c.HostIP)
	}
	return nil
}

func joined(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ", ")
}
