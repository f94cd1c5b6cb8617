package api

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func option(key, value string) map[string]string { return map[string]string{key: value} }

func cidrs(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestResolve(t *testing.T) {
	host := netip.MustParseAddr("192.0.2.1")
	all := map[string]string{
		OptionBridge: "br7", OptionICC: "false", OptionMasquerade: "0", OptionHostIP: "192.0.2.1", OptionMTU: "1400",
	}
	for name, row := range map[string]struct{ given, want NetworkCreate }{
		"nothing": {NetworkCreate{}, NetworkCreate{Driver: DriverBridge}},
		"none":    {NetworkCreate{Driver: DriverNone}, NetworkCreate{Driver: DriverNone}},
		"options": {
			NetworkCreate{Options: all},
			NetworkCreate{Driver: DriverBridge, Bridge: "br7", NoICC: true, NoMasquerade: true, HostIP: host, MTU: 1400, Options: all},
		},
		"options that say what is so": {
			NetworkCreate{Options: map[string]string{OptionICC: "true", OptionMasquerade: "1"}},
			NetworkCreate{Driver: DriverBridge, Options: map[string]string{OptionICC: "true", OptionMasquerade: "1"}},
		},
		"fields and options that agree": {
			NetworkCreate{NoICC: true, MTU: 1400, Options: map[string]string{OptionICC: "f", OptionMTU: "1400"}},
			NetworkCreate{Driver: DriverBridge, NoICC: true, MTU: 1400, Options: map[string]string{OptionICC: "f", OptionMTU: "1400"}},
		},
		"host bits": {
			NetworkCreate{Subnets: cidrs("10.1.2.3/16"), IPRanges: cidrs("10.1.9.9/24")},
			NetworkCreate{Driver: DriverBridge, Subnets: cidrs("10.1.0.0/16"), IPRanges: cidrs("10.1.9.0/24")},
		},
		"an IPv6 subnet says that there is IPv6": {
			NetworkCreate{Subnets: cidrs("fd00::1/64")},
			NetworkCreate{Driver: DriverBridge, Subnets: cidrs("fd00::/64"), IPv6: true},
		},
		"gateway without subnet": {
			NetworkCreate{Bridge: "br7", Gateways: []netip.Addr{host}},
			NetworkCreate{Driver: DriverBridge, Bridge: "br7", Gateways: []netip.Addr{host}},
		},
	} {
		row.given.Name, row.want.Name = "blue", "blue"
		got, err := row.given.Resolve()
		if err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", name, got, err, row.want)
		}
		if again, err := got.Resolve(); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: the second time got %+v, %v", name, again, err)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	known := strings.Join([]string{OptionBridge, OptionICC, OptionMasquerade, OptionHostIP, OptionMTU}, ", ")
	for _, row := range []struct {
		create NetworkCreate
		want   string
	}{
		{NetworkCreate{Name: "a b"}, `bad name "a b": use a-z, A-Z, 0-9 and _.-, the first a letter or digit`},
		{NetworkCreate{Driver: "macvlan"}, `unknown driver "macvlan": use bridge or none`},
		{NetworkCreate{Driver: "host"}, `bad driver "host": the network "host" is there already, and there can be only one`},
		{NetworkCreate{Options: option("mtu", "1")}, `unknown option "mtu": use ` + known},
		{NetworkCreate{Options: option(OptionMTU, "big")}, `bad option com.docker.network.driver.mtu=big: give a number of bytes`},
		{NetworkCreate{Options: option(OptionMTU, "0")}, `bad option com.docker.network.driver.mtu=0: give a number of bytes`},
		{NetworkCreate{Options: option(OptionICC, "no")}, `bad option com.docker.network.bridge.enable_icc=no: use true or false`},
		{NetworkCreate{Options: option(OptionHostIP, "::1")}, `bad option com.docker.network.bridge.host_binding_ipv4=::1: give an IPv4 address`},
		{NetworkCreate{Options: option(OptionBridge, "")}, `bad option com.docker.network.bridge.name=: give the name of a bridge`},
		{NetworkCreate{MTU: 1400, Options: option(OptionMTU, "1500")}, `mtu 1400 contradicts option com.docker.network.driver.mtu=1500: give one of them`},
		{NetworkCreate{NoICC: true, Options: option(OptionICC, "true")}, `no-icc true contradicts option com.docker.network.bridge.enable_icc=true: give one of them`},
		{NetworkCreate{Bridge: "br7", Options: option(OptionBridge, "br8")}, `bridge br7 contradicts option com.docker.network.bridge.name=br8: give one of them`},
		{NetworkCreate{MTU: 67}, `mtu 67 is out of range (68 to 65535 bytes)`},
		{NetworkCreate{MTU: 65536}, `mtu 65536 is out of range (68 to 65535 bytes)`},
		{NetworkCreate{Bridge: "sixteen-letters-"}, `bridge name "sixteen-letters-" is too long: 16 characters, 15 are allowed`},
		{NetworkCreate{Bridge: "br/7"}, `bad bridge name "br/7": an interface cannot have it`},
		{NetworkCreate{Bridge: ".."}, `bad bridge name "..": an interface cannot have it`},
		{NetworkCreate{Bridge: "all"}, `bad bridge name "all": the kernel keeps it for the settings of all interfaces`},
		{NetworkCreate{Options: option(OptionBridge, "default")}, `bad bridge name "default": the kernel keeps it for the settings of all interfaces`},
		{NetworkCreate{HostIP: netip.MustParseAddr("224.0.0.1")}, `bad host-ip 224.0.0.1: it is of a group, not of a host`},
		{NetworkCreate{HostIP: netip.MustParseAddr("ff02::1")}, `bad host-ip ff02::1: it is of a group, not of a host`},
		{NetworkCreate{Options: option(OptionHostIP, "255.255.255.255")}, `bad host-ip 255.255.255.255: it means every host`},
		{NetworkCreate{HostIP: netip.MustParseAddr("::")}, `bad host-ip ::: use 0.0.0.0 for all addresses of the host`},
		{NetworkCreate{Bridge: "br%d"}, `bad bridge name "br%d": an interface cannot have it`},
		{NetworkCreate{Subnets: []netip.Prefix{{}}}, `bad subnet: not a CIDR`},
		{NetworkCreate{Subnets: cidrs("10.0.0.0/8", "10.1.0.0/16")}, oneEach("subnet")},
		{NetworkCreate{Subnets: cidrs("fd00::/64"), Gateways: addrs("fd00::1", "10.0.0.1", "fd00::2")}, oneEach("gateway")},
		{NetworkCreate{IPv6: true, IPRanges: cidrs("fd00:0:0:1::/64", "fd00:0:0:2::/64")}, oneEach("ip-range")},
		{NetworkCreate{NoIPv4: true}, `a network without IPv4 has IPv6: give ipv6, too`},
		{NetworkCreate{NoIPv4: true, IPv6: true, Subnets: cidrs("10.0.0.0/8")}, `10.0.0.0 is an IPv4 address, and the network is to be without IPv4`},
		{NetworkCreate{HostIP: netip.MustParseAddr("::1")}, `::1 is an IPv6 address: give ipv6 or an IPv6 subnet, too`},
		{NetworkCreate{Gateways: addrs("fd00::1")}, `fd00::1 is an IPv6 address: give ipv6 or an IPv6 subnet, too`},
		{NetworkCreate{Subnets: cidrs("fd00::/64"), Gateways: addrs("fd01::1")}, `gateway fd01::1 is outside of the subnet fd00::/64`},
		{NetworkCreate{Subnets: cidrs("fd00::/64"), IPRanges: cidrs("fd00::/48")}, `ip-range fd00::/48 is outside of the subnet fd00::/64`},
		{NetworkCreate{IPv6: true, MTU: 1279}, `mtu 1279 is too small for IPv6, which needs 1280 bytes`},
		{NetworkCreate{Driver: DriverNone, NoIPv4: true, IPv6: true}, `driver none has no use for ipv6: its sandboxes have lo alone`},
		{NetworkCreate{Subnets: cidrs("10.0.0.0/8"), Gateways: []netip.Addr{addr}}, `gateway 192.0.2.1 is outside of the subnet 10.0.0.0/8`},
		{NetworkCreate{Subnets: cidrs("10.0.0.0/16"), IPRanges: cidrs("10.0.0.0/8")}, `ip-range 10.0.0.0/8 is outside of the subnet 10.0.0.0/16`},
		{NetworkCreate{IPRanges: cidrs("10.0.0.0/8")}, `ip-range 10.0.0.0/8 has no subnet to be in: give a subnet, too`},
		{NetworkCreate{Driver: DriverNone, Subnets: cidrs("10.0.0.0/8")}, `driver none has no use for subnet: its sandboxes have lo alone`},
		{NetworkCreate{Driver: DriverNone, Options: option(OptionICC, "false")}, `driver none has no use for no-icc: its sandboxes have lo alone`},
		{NetworkCreate{Driver: DriverNone, Internal: true}, `driver none has no use for internal: its sandboxes have lo alone`},
	} {
		if row.create.Name == "" {
			row.create.Name = "blue"
		}
		_, err := row.create.Resolve()
		if !errors.Is(err, ErrBadRequest) || err.Error() != row.want {
			t.Errorf("%+v: got %v, want %s", row.create, err, row.want)
		}
	}
}

func oneEach(of string) string {
	return of + " is given twice for one family: a network has one IPv4 and one IPv6 subnet, each with one gateway and one ip-range"
}

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestAllowChange(t *testing.T) {
	some := cidrs("10.0.0.0/8")
	spec := HostSpec{HostPort: 80, HostPortEnd: 80, Proto: "tcp"}
	for _, good := range []AllowChange{{Add: some}, {Remove: some}, {Set: some}, {Any: true}} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []AllowChange{{}, {Set: []netip.Prefix{}}, {Add: some, Remove: some}, {Set: some, Any: true}} {
		bad.Spec = spec
		want := "allow 80/tcp: give one of add, remove, set and any"
		if err := bad.Check(); !errors.Is(err, ErrBadRequest) || err.Error() != want {
			t.Errorf("%+v: got %v, want %s", bad, err, want)
		}
	}
}
