package firewall

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDockerRules(t *testing.T) {
	needs(t, "nft", "iptables-nft", "iptables-legacy")
	for _, row := range []struct {
		name  string
		do    []string
		nft   string
		there bool
	}{
		{name: "nothing"},
		{name: "iptables-nft", do: []string{"iptables-nft -t nat -N DOCKER"}, there: true},
		{name: "iptables-nft with rules", do: []string{
			"iptables-nft -t nat -N DOCKER", "iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
			"iptables-nft -t nat -A DOCKER -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
		}, there: true},
		{name: "another iptables-nft chain", do: []string{"iptables-nft -t nat -N DOCKER-USER", "iptables-nft -t nat -N docker"}},
		{name: "iptables-nft chain in another table", do: []string{"iptables-nft -t filter -N DOCKER", "iptables-nft -t nat -L"}},
		{name: "iptables-legacy", do: []string{"iptables-legacy -t nat -N DOCKER"}, there: true},
		{name: "iptables-legacy among others", do: []string{
			"iptables-legacy -t nat -N A", "iptables-legacy -t nat -N DOCKER", "iptables-legacy -t nat -N Z",
			"iptables-legacy -t nat -A POSTROUTING -s 172.17.0.0/16 -m comment --comment DOCKER -j MASQUERADE",
			"iptables-legacy -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
			"iptables-legacy -t nat -A DOCKER -p tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80",
		}, there: true},
		{name: "another iptables-legacy chain", do: []string{"iptables-legacy -t nat -N DOCKER-USER"}},
		{name: "iptables-legacy chain in another table", do: []string{"iptables-legacy -t filter -N DOCKER", "iptables-legacy -t nat -L"}},
		{name: "iptables-legacy chain removed", do: []string{"iptables-legacy -t nat -N DOCKER", "iptables-legacy -t nat -X DOCKER"}},
		{name: "Docker's own nftables", nft: "table ip docker-bridges { }", there: true},
		{name: "Docker's own nftables for IPv6", nft: "table ip6 docker-bridges { }"},
		{name: "chain in family inet", nft: "table inet nat { chain DOCKER { }; }"},
		{name: "chain in another table", nft: "table ip other { chain DOCKER { }; }"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var there bool
			var before, after string
			err := inNetns(func() (err error) {
				if err := command(row.nft, "nft", "-f", "-"); err != nil {
					return err
				}
				for _, line := range row.do {
					if err := command("", strings.Fields(line)...); err != nil {
						return err
					}
				}
				if before, err = filters(); err != nil {
					return err
				}
				if there, err = DockerRules(); err != nil {
					return err
				}
				after, err = filters()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if there != row.there {
				t.Errorf("DockerRules = %v, want %v", there, row.there)
			}
			if before != after {
				t.Errorf("asking changed the filters from %q to %q", before, after)
			}
		})
	}
}

// filters says what packet filters there are in the thread's network namespace.
func filters() (string, error) {
	nft, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("nft list ruleset: %w: %s", err, nft)
	}
	legacy, err := os.ReadFile(legacyNames)
	return fmt.Sprintf("nftables %q, legacy %q", nft, legacy), err
}

// The kernel tracks connections in a namespace once a rule there needs it, and
// DockerRules is no such need.
func TestDockerRulesTracksNoConnections(t *testing.T) {
	needs(t, "iptables-legacy")
	for _, row := range []struct {
		name  string
		ask   func() error
		track bool
	}{
		{"DockerRules", func() error { _, err := DockerRules(); return err }, false},
		{"a rule", func() error {
			return command("", strings.Fields("iptables-legacy -t nat -A POSTROUTING -d 192.0.2.1 -j MASQUERADE")...)
		}, true},
	} {
		var before, after int
		err := inNetns(func() (err error) {
			if before, err = tracked(); err != nil {
				return err
			}
			if err := row.ask(); err != nil {
				return err
			}
			after, err = tracked()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if before != 0 || after > 0 != row.track {
			t.Errorf("%s: %d connections tracked before, %d after; want some: %v", row.name, before, after, row.track)
		}
	}
}

// tracked sends a packet over lo and counts the connections that are tracked then.
func tracked() (count int, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return 0, err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return 0, err
	}
	receiver, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer receiver.Close()
	to := receiver.LocalAddr().(*net.UDPAddr)
	if err := unix.Sendto(fd, []byte("x"), 0, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	if _, _, err := receiver.ReadFrom(make([]byte, 1)); err != nil {
		return 0, err
	}
	data, err := os.ReadFile("/proc/thread-self/net/stat/nf_conntrack")
	if err != nil {
		return 0, err
	}
	// Below a line of headings, each CPU has the same count in hexadecimal first.
	lines := strings.Split(string(data), "\n")
	_, err = fmt.Sscanf(lines[1], "%x", &count)
	return count, err
}

func TestParseLegacyChainsRefusesNonsense(t *testing.T) {
	needs(t)
	var entries []byte
	err := inNetns(func() (err error) {
		entries, err = legacyEntries(natTable)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if chains, err := parseLegacyChains(entries); err != nil || len(chains) != 0 {
		t.Errorf("chains of an empty table: %q, %v", chains, err)
	}
	for _, cut := range []int{1, entryTarget, entryLength, len(entries) - 1} {
		if chains, err := parseLegacyChains(entries[:cut]); err == nil {
			t.Errorf("%d bytes: chains %q, want an error", cut, chains)
		}
	}
	for _, at := range []int{entryTarget, entryNext} {
		for _, b := range []byte{0, 0xff} {
			damaged := slices.Clone(entries)
			damaged[at], damaged[at+1] = b, b
			if chains, err := parseLegacyChains(damaged); err == nil {
				t.Errorf("byte %d is %#x: chains %q, want an error", at, b, chains)
			}
		}
	}
}

func BenchmarkDockerRules(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	err := inNetns(func() error {
		for b.Loop() {
			if _, err := DockerRules(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
