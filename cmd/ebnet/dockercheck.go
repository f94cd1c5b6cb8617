package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ebnet/ebnet/control/engine/docker"
	"github.com/ebnet/ebnet/control/firewall"
)

const daemonConfig = "/etc/docker/daemon.json"

// removeDockerRules is the line that removes what dockerd leaves behind when it starts
// with iptables off: its chains, and rules that lead to them or name its bridges. It
// deletes them one by one, so that nothing of others is written anew.
const removeDockerRules = `for t in iptables ip6tables; do sudo $t-save | sed -nE '/^[*]/p; /^(:|-A )DOCKER-USER /{/ -j RETURN$/!b}; s/^-A ((DOCKER|[FOP][A-Z]+ .*(-j DOCKER|docker0|br-[0-9a-f]{12}|-s (\S+) -d \4 )).*)/-D \1/p; s/^:(DOCKER\S*).*/-X \1/; /^-X/H; /^COMMIT/{x;p;s/.*//;x;p}' | sudo $t-restore --noflush; done`

// dockerSettings are what Docker is to leave to ebnet.
func dockerSettings() []string { return []string{"iptables", "ip6tables", "userland-proxy"} }

// checkDocker looks at how Docker is set up.
func (a *app) checkDocker(ctx context.Context) finding {
	f := finding{Check: "Docker", Result: good, Found: "not on this machine"}
	config, err := os.ReadFile(a.daemonConfig())
	_, noSocket := os.Stat(docker.Socket)
	switch {
	case errors.Is(err, fs.ErrNotExist) && noSocket != nil:
		return f
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return f.unknown(err)
	}
	left, err := notOff(config, dockerdFlags("/proc"))
	if err != nil {
		return f.unknown(fmt.Errorf("read %s: %w", a.daemonConfig(), err))
	}
	if len(left) == 0 {
		f.Found = "leaves its rules and its proxy to others"
		return f
	}
	f.Found = "has on: " + strings.Join(left, ", ")
	f.Advice = fmt.Sprintf("for \"ebnet agent --docker\" put %s into %s and restart dockerd", asJSON(left), a.daemonConfig())
	if a.adopts(ctx) {
		f.Result = warning
	}
	return f
}

// checkDockerRules looks for the rules that Docker makes, or has left.
func (a *app) checkDockerRules(ctx context.Context) finding {
	f := finding{Check: "Docker's rules", Result: good, Found: "none"}
	there, err := firewall.DockerRules()
	if err != nil {
		return f.unknown(err)
	}
	if !there {
		return f
	}
	f.Found = "they translate addresses"
	if a.adopts(ctx) {
		f.Result, f.Found = warning, "they translate addresses beside ebnet"
		f.Advice = "with iptables off in " + a.daemonConfig() + " restart dockerd and remove what it leaves: reboot, or " + removeDockerRules
	}
	return f
}

func (a *app) daemonConfig() string {
	if a.dockerConfig != "" {
		return a.dockerConfig
	}
	return daemonConfig
}

// adopts tells whether the running agent serves Docker's networks.
func (a *app) adopts(ctx context.Context) bool {
	status, err := a.client().Status(ctx)
	return err == nil && len(status.Engines) > 0
}

// notOff are the settings that neither the config file nor the daemon's flags turn off.
func notOff(config []byte, flags []string) ([]string, error) {
	values := map[string]any{}
	if len(bytes.TrimSpace(config)) > 0 {
		if err := json.Unmarshal(config, &values); err != nil {
			return nil, err
		}
	}
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if strings.HasPrefix(flag, "-") && (value == "false" || value == "0") {
			values[name] = false
		}
	}
	var left []string
	for _, name := range dockerSettings() {
		if values[name] != false {
			left = append(left, name)
		}
	}
	return left, nil
}

// dockerdFlags are the command line of the Docker daemon in this network namespace;
// none if it does not run.
func dockerdFlags(proc string) []string {
	here, err := os.Readlink(filepath.Join(proc, "self/ns/net"))
	if err != nil {
		return nil
	}
	names, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/comm"))
	for _, name := range names {
		dir := filepath.Dir(name)
		comm, err := os.ReadFile(name)
		if err != nil || string(comm) != "dockerd\n" {
			continue
		}
		if there, err := os.Readlink(filepath.Join(dir, "ns/net")); err != nil || there != here {
			continue
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		return strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
	}
	return nil
}

// asJSON writes settings that are to be turned off as the config file has them.
func asJSON(names []string) string {
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%q: false", name))
	}
	return strings.Join(parts, ", ")
}
