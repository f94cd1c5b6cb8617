package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os/signal"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/loader"
	"github.com/ebnet/ebnet/metrics"
)

// agentFlags are what `ebnet agent` can be told, on the command line and in the
// config file alike.
type agentFlags struct {
	config    string
	place     *place
	uplinks   []string
	hostIP    string
	docker    socketFlag
	metrics   string
	detail    string
	attach    string
	logFormat string
	logLevel  string
}

func newAgentCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Keep networks, sandboxes and published ports",
		Long: "Keep networks, sandboxes and published ports, in the network namespace that it is started in.\n\n" +
			"With --docker it serves the bridge networks of Docker, too, those of containers that run included. Docker's\n" +
			"own rules may be there; without them (\"iptables\": false in Docker's daemon.json) nothing else is needed.\n" +
			"\"ebnet adopt --docker --dry-run\" shows what would change, \"ebnet doctor\" what to set.\n\n" +
			"SIGTERM and SIGINT stop it; the datapath keeps running. The config file is a JSON object whose keys are\n" +
			"the names of these flags; flags win. SIGHUP rereads it: log-level, uplink and host-ip change while the\n" +
			"agent runs, what else has changed is logged and takes a restart.",
		Args: socketArgs,
	}
	flags := addAgentFlags(cmd.Flags(), a.config)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.needRoot(cmd); err != nil {
			return err
		}
		if err := loadConfig(cmd.LocalNonPersistentFlags(), flags.config, !cmd.Flags().Changed("config")); err != nil {
			return err
		}
		if a.socket != "" && a.socket != flags.place.socket() {
			return usagef(cmd, "the agent's socket is ebnet.sock in its --run folder: give --run instead of --socket")
		}
		settings, err := flags.settings(cmd.ErrOrStderr())
		if err != nil {
			return usagef(cmd, "%w", err)
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGTERM, unix.SIGINT)
		defer stop()
		agent, apply := newAgent(settings)
		reload := reloader{
			flags: cmd.LocalNonPersistentFlags(), config: flags.config, absent: !cmd.Flags().Changed("config"),
			level: settings.level, log: settings.log, apply: apply,
		}
		go reload.watch(ctx)
		return agent.Run(ctx)
	}
	return cmd
}

func addAgentFlags(flags *pflag.FlagSet, config string) *agentFlags {
	f := &agentFlags{place: addPlace(flags)}
	flags.StringVar(&f.config, "config", config, "`file` with values for the other flags")
	flags.StringArrayVar(&f.uplinks, "uplink", nil, "`interface` to the outside (default: those with a global address)")
	flags.StringVar(&f.hostIP, "host-ip", "", "`address` of ports published without one (default: all)")
	addDocker(flags, &f.docker, "serve the networks of the Docker daemon at `SOCKET`")
	flags.StringVar(&f.metrics, "metrics", "127.0.0.1:10469", "`address` of the metrics, or off")
	flags.StringVar(&f.detail, "metrics-detail", "publish", "what gets series of its own: network, sandbox or publish")
	flags.StringVar(&f.attach, "attach", "auto", "how programs get onto interfaces: auto, tcx or clsact")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return f
}

// agentSettings are agentFlags, checked.
type agentSettings struct {
	place   place
	uplinks []string
	hostIP  netip.Addr
	docker  string // path of its socket; empty: left alone
	metrics string // empty: off
	detail  metrics.Detail
	attach  loader.Mode
	level   *slog.LevelVar
	log     *slog.Logger
}

// settings checks the flags. What the agent logs goes to stderr.
func (f *agentFlags) settings(stderr io.Writer) (agentSettings, error) {
	s := agentSettings{place: *f.place, uplinks: f.uplinks, docker: string(f.docker)}
	var err error
	if f.hostIP != "" {
		if s.hostIP, err = parseAddr(f.hostIP); err != nil {
			return s, fmt.Errorf("bad --host-ip %q: %w", f.hostIP, err)
		}
	}
	if f.metrics != "off" {
		if _, err := netip.ParseAddrPort(f.metrics); err != nil {
			return s, fmt.Errorf("bad --metrics %q: give ADDRESS:PORT or off", f.metrics)
		}
		s.metrics = f.metrics
	}
	if s.detail, err = metrics.ParseDetail(f.detail); err != nil {
		return s, fmt.Errorf("bad --metrics-detail %q: use network, sandbox or publish", f.detail)
	}
	if s.attach, err = loader.ParseMode(f.attach); err != nil {
		return s, fmt.Errorf("bad --attach %q: use auto, tcx or clsact", f.attach)
	}
	level, err := parseLevel(f.logLevel)
	if err != nil {
		return s, err
	}
	s.level = &slog.LevelVar{}
	s.level.Set(level)
	s.log, err = newLogger(stderr, f.logFormat, s.level)
	return s, err
}

func parseLevel(name string) (slog.Level, error) {
	for level, known := range map[slog.Level]string{
		slog.LevelDebug: "debug", slog.LevelInfo: "info", slog.LevelWarn: "warn", slog.LevelError: "error",
	} {
		if name == known {
			return level, nil
		}
	}
	return 0, fmt.Errorf("bad --log-level %q: use debug, info, warn or error", name)
}

func newLogger(w io.Writer, format string, level slog.Leveler) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("bad --log-format %q: use text or json", format)
}
