package firewall

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNetns runs do on a thread with a network namespace of its own, which ends with it.
func inNetns(do func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends, and the namespace with it
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("unshare network namespace: %w", err)
			return
		}
		result <- do()
	}()
	return <-result
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("EBNET_PRIVILEGED") == "1" {
		skip = t.Fatalf
	}
	if os.Geteuid() != 0 {
		skip("needs root")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			skip("needs %s", program)
		}
	}
}

func command(stdin string, words ...string) error {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

func TestDenies(t *testing.T) {
	needs(t, "nft", "iptables", "ip6tables")
	for _, row := range []struct {
		name     string
		nft      string
		iptables []string
		by       string // empty: does not deny
	}{
		{name: "empty"},
		{name: "input policy", nft: `table inet filter { chain input { type filter hook input priority 0; policy drop; ct state established accept; }; }`, by: `nftables chain "inet filter input"`},
		{name: "forward policy", nft: `table ip f { chain through { type filter hook forward priority 0; policy drop; }; }`, by: `nftables chain "ip f through"`},
		{name: "prerouting policy", nft: `table ip6 f { chain pre { type filter hook prerouting priority 0; policy drop; }; }`, by: `nftables chain "ip6 f pre"`},
		{name: "output policy", nft: `table inet f { chain out { type filter hook output priority 0; policy drop; }; }`},
		{name: "last rule rejects", nft: `table inet f { chain in { type filter hook input priority 0; tcp dport 22 accept; counter reject with icmpx type admin-prohibited; }; }`, by: `nftables chain "inet f in"`},
		{name: "some rule drops", nft: `table inet f { chain in { type filter hook input priority 0; ct state invalid drop; tcp dport 23 reject; }; }`},
		{name: "accepts before it drops", nft: `table inet f { chain in { type filter hook input priority 0; policy drop; accept; }; }`},
		{name: "jumps to a drop", nft: `table inet f { chain last { counter drop; }; chain in { type filter hook input priority 0; tcp dport 22 accept; jump last; accept; }; }`, by: `nftables chain "inet f in"`},
		{name: "jumps and returns", nft: `table inet f { chain last { return; drop; }; chain in { type filter hook input priority 0; jump last; accept; }; }`},
		{name: "goto ends the chain", nft: `table inet f { chain last { tcp dport 22 accept; }; chain in { type filter hook input priority 0; goto last; drop; }; }`},
		{name: "chain on no hook", nft: `table inet f { chain in { drop; }; }`},
		{name: "docker", nft: `table ip filter { chain DOCKER { }; chain FORWARD { type filter hook forward priority 0; policy drop; }; }`},
		{name: "docker and input", nft: `table ip filter { chain DOCKER { }; chain INPUT { type filter hook input priority 0; policy drop; }; }`, by: `nftables chain "ip filter INPUT"`},
		{name: "iptables policy", iptables: []string{"iptables -P INPUT DROP"}, by: `nftables chain "ip filter INPUT"`},
		{name: "ip6tables policy", iptables: []string{"ip6tables -P FORWARD DROP"}, by: `nftables chain "ip6 filter FORWARD"`},
		{name: "iptables reject", iptables: []string{"iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "iptables -A INPUT -m comment --comment rest -j REJECT --reject-with icmp-host-prohibited"}, by: `nftables chain "ip filter INPUT"`},
		{name: "iptables accept", iptables: []string{"iptables -A INPUT -p tcp --dport 22 -j DROP", "iptables -P INPUT ACCEPT"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var denies bool
			var by string
			err := inNetns(func() (err error) {
				if row.nft != "" {
					if err := command(row.nft, "nft", "-f", "-"); err != nil {
						return err
					}
				}
				for _, line := range row.iptables {
					if err := command("", strings.Fields(line)...); err != nil {
						return err
					}
				}
				denies, by, err = Denies()
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if denies != (row.by != "") || by != row.by {
				t.Errorf("got %v by %s, want by %s", denies, by, row.by)
			}
		})
	}
}

func TestLegacyRules(t *testing.T) {
	for rules, want := range map[string]string{
		"-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT DROP\n":              "",
		"-P INPUT DROP\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n":              "INPUT",
		"-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n":              "FORWARD",
		"-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N DOCKER\n":   "",
		"-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-A INPUT -s 192.0.2.1 -j DROP": "",
	} {
		if got := droppedByPolicy(rules); got != want {
			t.Errorf("%s: got %q, want %q", rules, got, want)
		}
	}
}
