package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// reloader rereads the config file at SIGHUP.
type reloader struct {
	flags  *pflag.FlagSet // as the agent runs with them
	config string
	absent bool // the config file may be missing
	level  *slog.LevelVar
	log    *slog.Logger
}

// watch reloads at each SIGHUP until the context ends.
func (r *reloader) watch(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.reload()
		}
	}
}

// reload applies what can change while the agent runs, and logs what cannot. A
// file with a mistake changes nothing.
func (r *reloader) reload() {
	fresh := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	wanted := addAgentFlags(fresh, r.config)
	r.flags.Visit(func(flag *pflag.Flag) { // the command line still wins
		if other := fresh.Lookup(flag.Name); other != nil {
			other.Changed = true
		}
	})
	if err := loadConfig(fresh, r.config, r.absent); err != nil {
		r.log.Error("config not reloaded", "error", err)
		return
	}
	level, err := parseLevel(wanted.logLevel)
	if err != nil {
		r.log.Error("config not reloaded", "error", err)
		return
	}
	fresh.VisitAll(func(flag *pflag.Flag) {
		running := r.flags.Lookup(flag.Name)
		if flag.Changed || running.Value.String() == flag.Value.String() {
			return
		}
		if flag.Name != "log-level" {
			r.log.Warn("config has changed, but this takes a restart of the agent", "key", flag.Name)
			return
		}
		r.level.Set(level)
		_ = running.Value.Set(flag.Value.String()) // it was parsed above
		r.log.Info("config has changed", "key", flag.Name, "value", wanted.logLevel)
	})
	r.log.Info("config reloaded", "file", r.config)
}
