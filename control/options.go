package control

import (
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/loader"
)

// Options say where an agent keeps things and what it works with. The zero
// value of a field stands for the default that its comment names.
type Options struct {
	StateDir string        // /var/lib/ebnet: what people asked for
	RunDir   string        // /run/ebnet: the socket
	BPFFS    string        // /sys/fs/bpf/ebnet: pinned maps and links
	Prefix   string        // "ebnet-": of the sandboxes' namespaces
	Uplinks  []string      // names of the uplinks; empty: found by themselves
	HostIP   netip.Addr    // of ports published without one; invalid: all addresses
	Attach   loader.Mode   // ModeAuto
	Version  api.Version   // for `ebnet version` and status
	Log      *slog.Logger  // discarded
	Interval time.Duration // 30 s: the time between reconciles if nothing happens

	// Docker is the socket of a Docker daemon whose networks the agent is to adopt;
	// empty: none.
	Docker string

	// MetricsAddr is where the metrics server listens; empty or "off": nowhere.
	MetricsAddr string
	// MetricsHandler makes what answers there, once the datapath is open. The
	// agent knows nothing of Prometheus, so whoever wires it hands it in.
	MetricsHandler func(*Agent) (http.Handler, error)

	NetnsEtc   string   // /etc/netns: where `ip netns exec` finds resolv.conf
	ResolvConf []string // /etc/resolv.conf, then systemd-resolved's list of upstream servers

	getenv func(string) string // os.Getenv
}

// SocketName is the name of the agent's socket in Options.RunDir.
const SocketName = "ebnet.sock"

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&o.StateDir, "/var/lib/ebnet"},
		{&o.RunDir, "/run/ebnet"},
		{&o.BPFFS, "/sys/fs/bpf/ebnet"},
		{&o.Prefix, "ebnet-"},
		{&o.Version.Version, "unknown"},
		{&o.NetnsEtc, "/etc/netns"},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.ResolvConf == nil {
		o.ResolvConf = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Interval == 0 {
		o.Interval = 30 * time.Second
	}
	if o.MetricsAddr == "off" {
		o.MetricsAddr = ""
	}
	if o.getenv == nil {
		o.getenv = os.Getenv
	}
	return o
}

func (o Options) socket() string { return filepath.Join(o.RunDir, SocketName) }

// Reload takes over what can change while the agent runs: uplinks and the default
// host address. It names the settings that differ but need a restart.
func (a *Agent) Reload(o Options) (restart []string) {
	o = o.withDefaults()
	a.ops.Lock()
	defer a.ops.Unlock()
	for _, s := range []struct {
		flag    string
		differs bool
	}{
		{"--state", o.StateDir != a.opt.StateDir},
		{"--run", o.RunDir != a.opt.RunDir},
		{"--bpffs", o.BPFFS != a.opt.BPFFS},
		{"--netns-prefix", o.Prefix != a.opt.Prefix},
		{"--attach", o.Attach != a.opt.Attach},
		{"--metrics", o.MetricsAddr != a.opt.MetricsAddr},
		{"--docker", o.Docker != a.opt.Docker},
	} {
		if s.differs {
			restart = append(restart, s.flag)
		}
	}
	a.opt.Uplinks, a.opt.HostIP = o.Uplinks, o.HostIP
	a.wake()
	return restart
}
