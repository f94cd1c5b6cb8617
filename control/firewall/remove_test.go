package firewall

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// theirs are rules that are not Docker's, and left is what Docker has left; {} is the
// program of a family and variant.
const (
	theirs = `{} -N mine
{} -A FORWARD -j mine
{} -A mine -i docker0 -m comment --comment "say \"-A FORWARD -j DOCKER\"" -j DROP
{} -A INPUT -i docker0 -j ACCEPT
{} -A FORWARD -i docker0 -o wg0 -j ACCEPT
{} -A FORWARD -o docker0 -m comment --comment "it's \"Docker\"" -j mine
{} -A FORWARD -o docker0 -m string --string x --algo bm -j DROP
{} -t mangle -A FORWARD -o docker0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
{} -t raw -A PREROUTING -i docker0 -p udp --dport 99 -j NOTRACK
{} -t raw -A PREROUTING ! -i docker0 -j DROP
{} -P FORWARD DROP`
	left = `{} -N DOCKER
{} -N DOCKER-ISOLATION-STAGE-1
{} -N DOCKER-ISOLATION-STAGE-2
{} -A DOCKER-ISOLATION-STAGE-1 -j DOCKER-ISOLATION-STAGE-2
{} -A FORWARD -j DOCKER-ISOLATION-STAGE-1
{} -N DOCKER-USER
{} -A DOCKER-USER -j RETURN
{} -A FORWARD -j DOCKER-USER
{} -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{} -A FORWARD -o docker0 -j DOCKER
{} -A FORWARD -i front0 ! -o front0 -j ACCEPT
{} -A FORWARD -i front0 ! -o front0 -j ACCEPT
{} -t nat -N DOCKER
{} -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
{} -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER
{} -t nat -A DOCKER -p tcp --dport 8080 -j REDIRECT
{} -t nat -A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE`
)

// makes runs a script of iptables commands in both families.
func makes(script string, variants ...string) error {
	for _, variant := range variants {
		for _, program := range []string{"iptables-", "ip6tables-"} {
			if err := command(strings.ReplaceAll(script, "{}", program+variant), "sh", "-e"); err != nil {
				return err
			}
		}
	}
	return nil
}

// saved are the rules of all kinds, and the chains that somebody made.
func saved() ([]string, error) {
	var rules []string
	for _, save := range []string{"iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ip6tables-legacy-save"} {
		out, err := run("", save)
		if err != nil {
			return nil, err
		}
		for _, t := range parseSave(out) {
			for _, c := range t.chains {
				if strings.Contains(c.text, " - ") || strings.Contains(c.text, " DROP ") {
					rules = append(rules, save+" "+t.name+" "+c.text)
				}
			}
			for _, r := range t.rules {
				rules = append(rules, save+" "+t.name+" "+r.text)
			}
		}
	}
	return rules, nil
}

func TestRemoveDockerLeftovers(t *testing.T) {
	needs(t, "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
	for _, row := range []struct {
		name     string
		variants []string
	}{
		{"none", nil}, {"nft", []string{"nft"}}, {"legacy", []string{"legacy"}}, {"both", []string{"nft", "legacy"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var stay, now []string
			var found, again []Leftover
			err := inNetns(func() (err error) {
				if err := makes(theirs, row.variants...); err != nil {
					return err
				}
				if stay, err = saved(); err != nil {
					return err
				}
				if err := makes(left, row.variants...); err != nil {
					return err
				}
				if found, err = DockerLeftovers([]string{"front0"}); err != nil {
					return err
				}
				for _, l := range found {
					if err := l.Remove(); err != nil {
						return err
					}
				}
				if now, err = saved(); err != nil {
					return err
				}
				again, err = DockerLeftovers([]string{"front0"})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if want := 4 * len(row.variants); len(found) != want {
				t.Errorf("left in %d tables, want %d: %+v", len(found), want, found)
			}
			if !slices.Equal(now, stay) {
				t.Errorf("rules are\n%s\nwant\n%s", strings.Join(now, "\n"), strings.Join(stay, "\n"))
			}
			if len(again) != 0 {
				t.Errorf("there is still %+v", again)
			}
		})
	}
}

// A table whose rules have changed meanwhile stays as it is, all of it.
func TestRemoveAllOrNothing(t *testing.T) {
	needs(t, "iptables-nft", "iptables-legacy")
	for _, variant := range []string{"nft", "legacy"} {
		var before, after []string
		var failed error
		err := inNetns(func() error {
			if err := makes(theirs+"\n"+left, variant); err != nil {
				return err
			}
			found, err := DockerLeftovers([]string{"front0"})
			if err != nil {
				return err
			}
			if err := makes("{} -D FORWARD -i front0 ! -o front0 -j ACCEPT", variant); err != nil {
				return err
			}
			if before, err = saved(); err != nil {
				return err
			}
			for _, l := range found {
				if l.Table == "filter" && l.Family == "IPv4" {
					failed = l.Remove()
				}
			}
			after, err = saved()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if failed == nil || !strings.Contains(failed.Error(), "table filter of IPv4") || strings.Contains(failed.Error(), "\n") {
			t.Errorf("%s: the error is %v", variant, failed)
		}
		if !slices.Equal(before, after) {
			t.Errorf("%s: rules became\n%s\nthey were\n%s", variant, strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
	}
}

// Where the interfaces have no programs of their own, there is the one without a word.
func TestInstalled(t *testing.T) {
	for _, row := range []struct{ have, want string }{
		{"", ""},
		{"iptables-save", "iptables"},
		{"iptables-save iptables-nft-save", "iptables-nft"},
		{"iptables-save iptables-nft-save iptables-legacy-save ip6tables-save", "iptables-nft iptables-legacy"},
	} {
		dir := t.TempDir()
		t.Setenv("PATH", dir)
		for _, name := range strings.Fields(row.have) {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(installed("iptables"), " "); got != row.want {
			t.Errorf("of %q: got %q, want %q", row.have, got, row.want)
		}
	}
}

// Where there are no tables, nobody is asked: on a kernel that has none at all,
// iptables-save fails.
func TestNoTables(t *testing.T) {
	needs(t)
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	for _, name := range []string{"iptables-nft-save", "iptables-legacy-save", "ip6tables-save"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var found []Leftover
	err := inNetns(func() (err error) {
		found, err = DockerLeftovers(nil)
		return err
	})
	if err != nil || len(found) != 0 {
		t.Errorf("got %+v, %v", found, err)
	}
}
