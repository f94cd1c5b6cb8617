package ipam

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestCheckSubnet(t *testing.T) {
	for subnet, within := range map[string]string{
		"0.0.0.0/0":          "0.0.0.0/8",
		"0.255.255.0/24":     "0.0.0.0/8",
		"1.0.0.0/8":          "",
		"10.0.0.0/8":         "",
		"100.64.0.0/10":      "",
		"126.0.0.0/7":        "127.0.0.0/8",
		"126.0.0.0/8":        "",
		"127.255.255.254/31": "127.0.0.0/8",
		"128.0.0.0/16":       "",
		"169.253.0.0/16":     "",
		"169.254.0.0/15":     "169.254.0.0/16",
		"169.254.255.0/24":   "169.254.0.0/16",
		"169.255.0.0/16":     "",
		"172.17.0.0/16":      "",
		"192.168.0.0/16":     "",
		"223.255.255.0/24":   "",
		"224.0.0.0/24":       "224.0.0.0/4",
		"239.255.255.0/24":   "224.0.0.0/4",
		"240.0.0.0/24":       "240.0.0.0/4",
		"255.255.255.252/30": "240.0.0.0/4",
		"::/64":              "::/127",
		"fd00::/64":          "",
		"2001:db8::/64":      "",
		"fe80::/64":          "fe80::/10",
		"ff02::/64":          "ff00::/8",
	} {
		err := CheckSubnet(netip.MustParsePrefix(subnet))
		switch {
		case within == "" && err != nil:
			t.Errorf("%s: %v", subnet, err)
		case within != "" && (!errors.Is(err, ErrSubnet) || !strings.Contains(err.Error(), "subnet "+subnet+":") || !strings.Contains(err.Error(), "of "+within+" are ")):
			t.Errorf("%s: %v, want ErrSubnet for being in %s", subnet, err, within)
		}
	}
	for _, p := range DefaultPools() {
		if err := CheckSubnet(p.Base); err != nil {
			t.Errorf("Docker's pool %s: %v", p.Base, err)
		}
	}
}
