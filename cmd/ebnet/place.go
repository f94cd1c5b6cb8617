package main

import (
	"path/filepath"

	"github.com/spf13/pflag"
)

// place is where an agent keeps things; it tells several agents apart.
type place struct {
	state, run, bpffs, prefix string
}

func addPlace(flags *pflag.FlagSet) *place {
	p := &place{}
	flags.StringVar(&p.state, "state", "/var/lib/ebnet", "`folder` of the store")
	flags.StringVar(&p.run, "run", "/run/ebnet", "`folder` of the socket, ebnet.sock")
	flags.StringVar(&p.bpffs, "bpffs", "/sys/fs/bpf/ebnet", "`folder` of pinned maps and links, on a bpffs")
	flags.StringVar(&p.prefix, "netns-prefix", "ebnet-", "`prefix` of the names of the sandboxes' namespaces")
	return p
}

func (p *place) socket() string { return filepath.Join(p.run, "ebnet.sock") }
