package main

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

// Set by the linker, see the Makefile: git is not asked at build time, because it
// refuses a checkout of another user's, as under sudo.
var version, revision string

// buildVersion is what this binary is.
func buildVersion() api.Version {
	if version != "" {
		return api.Version{Version: version, Revision: revision, GoVersion: runtime.Version()}
	}
	return recordedVersion()
}

// recordedVersion is what `go install` records by itself.
func recordedVersion() api.Version {
	version := api.Version{Version: "unknown", GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	if info.Main.Version != "" {
		version.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			version.Revision = setting.Value
		}
	}
	return version
}

// versions is `ebnet version -o json`.
type versions struct {
	Client api.Version  `json:"client"`
	Agent  *api.Version `json:"agent"` // nil if none is reachable
}

func newVersionCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Show the versions of this program and of the agent", Args: args(0, 0, "")}
	output := addOutput(cmd, formatTable)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		shown := versions{Client: buildVersion()}
		agent, err := a.client().Version(cmd.Context())
		switch {
		case err == nil:
			shown.Agent = &agent
		case !errors.Is(err, api.ErrNoAgent) && !errors.Is(err, fs.ErrPermission):
			return err
		}
		if *output == formatJSON {
			return api.WriteJSON(cmd.OutOrStdout(), shown)
		}
		fmt.Fprintln(cmd.OutOrStdout(), "ebnet", describeVersion(shown.Client))
		if shown.Agent != nil {
			fmt.Fprintln(cmd.OutOrStdout(), "agent", describeVersion(*shown.Agent))
		}
		return nil
	}
	return cmd
}

func describeVersion(v api.Version) string {
	text := v.Version
	if v.Revision != "" {
		text += " (" + v.Revision[:min(len(v.Revision), shortID)] + ")"
	}
	if v.GoVersion != "" {
		text += " " + v.GoVersion
	}
	return text
}
