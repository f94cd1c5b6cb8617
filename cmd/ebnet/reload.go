package main

import (
	"context"
	"io"
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
	apply  func(agentSettings) // makes the agent work with these uplinks and this host address
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
	flags := addAgentFlags(fresh, r.config)
	r.flags.Visit(func(flag *pflag.Flag) { // the command line still wins
		if other := fresh.Lookup(flag.Name); other != nil {
			_ = copyFlag(other, flag) // it was parsed when the agent started
			other.Changed = true
		}
	})
	err := loadConfig(fresh, r.config, r.absent)
	var wanted agentSettings
	if err == nil {
		wanted, err = flags.settings(io.Discard)
	}
	if err != nil {
		r.log.Error("config not reloaded", "error", err)
		return
	}
	agentToo := false
	fresh.VisitAll(func(flag *pflag.Flag) {
		running := r.flags.Lookup(flag.Name)
		if flag.Changed || running.Value.String() == flag.Value.String() {
			return
		}
		switch flag.Name {
		case "log-level":
			r.level.Set(wanted.level.Level())
		case "uplink", "host-ip":
			agentToo = true
		default:
			r.log.Warn("config has changed, but this takes a restart of the agent", "key", flag.Name)
			return
		}
		_ = copyFlag(running, flag) // as settings found, its value is good
		r.log.Info("config has changed", "key", flag.Name, "value", flag.Value)
	})
	if agentToo {
		r.apply(wanted)
	}
	r.log.Info("config reloaded", "file", r.config)
}

// copyFlag gives a flag the value of another of the same type.
func copyFlag(to, from *pflag.Flag) error {
	if list, ok := from.Value.(pflag.SliceValue); ok {
		return to.Value.(pflag.SliceValue).Replace(list.GetSlice())
	}
	return to.Value.Set(from.Value.String())
}
