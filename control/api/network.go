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

// What an MTU may be, in bytes: IPv4 itself needs the first, IPv6 the second (RFC 8200),
// and IPv4's length field holds the last.
const (
	MinMTU  = 68
	MinMTU6 = 1280
	MaxMTU  = 65535
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
	c.IPv6 = c.IPv6 || slices.ContainsFunc(c.Subnets, func(p netip.Prefix) bool { return p.Addr().Is6() })
	for _, check := range []func() error{c.checkDriver, c.checkHostIP, c.checkFamilies, c.checkBridge, c.checkAddresses} {
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
		{"ipv4=false", c.NoIPv4},
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

// checkFamilies holds that a network has at most one subnet of a family, and nothing of a
// family that it has not.
func (c NetworkCreate) checkFamilies() error {
	if c.NoIPv4 && !c.IPv6 {
		return Errorf(CodeBadRequest, "a network without IPv4 has IPv6: give ipv6, too")
	}
	var addrs []netip.Addr
	for _, part := range []struct {
		name string
		of   []netip.Addr
	}{{"subnet", starts(c.Subnets)}, {"gateway", c.Gateways}, {"ip-range", starts(c.IPRanges)}} {
		for i, addr := range part.of {
			other := func(o netip.Addr) bool { return addr.IsValid() && o.BitLen() == addr.BitLen() }
			if slices.ContainsFunc(part.of[:i], other) {
				return Errorf(CodeBadRequest, "%s is given twice for one family: a network has one IPv4 and one IPv6 subnet, each with one gateway and one ip-range", part.name)
			}
		}
		addrs = append(addrs, part.of...)
	}
	if host := c.HostIP.Unmap(); !host.IsUnspecified() {
		addrs = append(addrs, host)
	}
	for _, addr := range addrs {
		if c.NoIPv4 && addr.Is4() {
			return Errorf(CodeBadRequest, "%s is an IPv4 address, and the network is to be without IPv4", addr)
		}
		if !c.IPv6 && addr.Is6() {
			return Errorf(CodeBadRequest, "%s is an IPv6 address: give ipv6 or an IPv6 subnet, too", addr)
		}
	}
	if c.IPv6 && c.MTU != 0 && c.MTU < MinMTU6 {
		return Errorf(CodeBadRequest, "mtu %d is too small for IPv6, which needs %d bytes", c.MTU, MinMTU6)
	}
	return nil
}

// starts are the first addresses of prefixes.
func starts(prefixes []netip.Prefix) []netip.Addr {
	var all []netip.Addr
	for _, p := range prefixes {
		all = append(all, p.Addr())
	}
	return all
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
	for _, subnet := range c.Subnets {
		if !subnet.IsValid() {
			return Errorf(CodeBadRequest, "bad subnet: not a CIDR")
		}
	}
	for _, gateway := range c.Gateways {
		subnet, found := c.subnetLike(gateway)
		if found && !subnet.Contains(gateway) {
			return Errorf(CodeBadRequest, "gateway %s is outside of the subnet %s", gateway, subnet)
		}
	}
	for _, part := range c.IPRanges {
		subnet, found := c.subnetLike(part.Addr())
		if !found && c.Bridge != "" {
			continue // that may have one
		}
		if !found {
			return Errorf(CodeBadRequest, "ip-range %s has no subnet to be in: give a subnet, too", part)
		}
		if !subnet.Contains(part.Addr()) || part.Bits() < subnet.Bits() {
			return Errorf(CodeBadRequest, "ip-range %s is outside of the subnet %s", part, subnet)
		}
	}
	return nil
}

// subnetLike is the subnet of an address's family.
func (c NetworkCreate) subnetLike(addr netip.Addr) (netip.Prefix, bool) {
	i := slices.IndexFunc(c.Subnets, func(p netip.Prefix) bool { return p.Addr().BitLen() == addr.BitLen() })
	if i < 0 {
		return netip.Prefix{}, false
	}
	return c.Subnets[i], true
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
