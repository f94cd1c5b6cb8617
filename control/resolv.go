package control

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/store"
)

// resolver is what a resolv.conf says.
type resolver struct {
	servers []netip.Addr
	rest    []string // "search", "options" and other lines as they are
}

// parseResolver reads a resolv.conf. Lines that it does not understand are left
// out, as the resolver itself does.
func parseResolver(content []byte) resolver {
	var r resolver
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(fields[1]); err == nil {
				r.servers = append(r.servers, addr)
			}
		case "search", "domain", "options", "sortlist":
			r.rest = append(r.rest, strings.Join(fields, " "))
		}
	}
	return r
}

// upstream is the first of the files that names a server which a namespace
// other than the host's can reach: one that is not a loopback address.
func upstream(paths []string) resolver {
	var first resolver
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		r := parseResolver(content)
		r.servers = slices.DeleteFunc(r.servers, func(a netip.Addr) bool {
			return a.Unmap().IsLoopback() || a.IsUnspecified() || a.Zone() != ""
		})
		if len(r.servers) > 0 {
			return r
		}
		if first.rest == nil {
			first = r
		}
	}
	return first
}

// resolvConf is the content of a sandbox's resolv.conf: the servers that were
// asked for, or else those of the host's that are of a family which the sandbox has.
func resolvConf(paths []string, dns []netip.Addr, of []family) []byte {
	r := upstream(paths)
	if near := among(r.servers, of); len(near) > 0 {
		r.servers = near
	}
	if len(dns) > 0 {
		r.servers = dns
	}
	var out strings.Builder
	out.WriteString("# Written by ebnet; \"ebnet sandbox create --dns\" chooses other servers.\n")
	for _, server := range r.servers {
		fmt.Fprintf(&out, "nameserver %s\n", server)
	}
	for _, line := range r.rest {
		fmt.Fprintf(&out, "%s\n", line)
	}
	return []byte(out.String())
}

// among are the addresses that are of some families.
func among(addrs []netip.Addr, of []family) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !slices.Contains(of, familyOf(a)) })
}

// writeResolvConf writes the resolv.conf of a sandbox, unless it is right. It
// says whether it had to.
func (a *Agent) writeResolvConf(sb store.Sandbox) (changed bool, err error) {
	netns := netnsName(sb)
	dir := filepath.Join(a.opt.NetnsEtc, netns)
	path := filepath.Join(dir, "resolv.conf")
	want := resolvConf(a.opt.ResolvConf, sb.DNS, familiesOf(sb))
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) {
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, fmt.Errorf("write resolv.conf of %s: %w", netns, err)
	}
	if err := rewriteFile(path, want, 0o644); err != nil {
		return false, fmt.Errorf("write resolv.conf of %s: %w", netns, err)
	}
	return true, nil
}

// removeResolvConf removes the file, and its folder unless others keep files there.
func removeResolvConf(etc, netns string) error {
	dir := filepath.Join(etc, netns)
	if err := os.Remove(filepath.Join(dir, "resolv.conf")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove resolv.conf of %s: %w", netns, err)
	}
	_ = os.Remove(dir) // fails where something is left in it, which is not ours
	return nil
}

// rewriteFile gives a file its content in place, so that whoever has it mounted
// over another, as `ip netns exec` does, sees the new one.
func rewriteFile(path string, content []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Truncate(int64(len(content)))
	}
	return errors.Join(err, file.Close())
}
