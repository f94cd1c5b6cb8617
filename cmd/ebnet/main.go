// Command ebnet connects containers with eBPF: its agent keeps networks,
// sandboxes and published ports, its other commands ask the agent for them.
package main

import (
	"context"
	"os"
)

func main() {
	a := &app{getenv: os.Getenv, euid: os.Geteuid, stdin: os.Stdin, etcNetns: "/etc/netns", config: "/etc/ebnet/agent.json"}
	os.Exit(a.main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
