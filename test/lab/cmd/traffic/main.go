// Command traffic is the part of the end-to-end tests that needs processes of its own:
// a web server with as many bytes as one asks for, tens of thousands of held
// connections, and servers in containers that tell whom they see.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "traffic: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: traffic serve ADDR | answer ADDR | hold ADDR COUNT | listen ADDR | tell NAME ADDR… | ask tcp|udp ADDR")
	}
	switch args[0] {
	case "serve":
		return serve(args[1])
	case "answer":
		return answer(args[1])
	case "hold":
		if len(args) != 3 {
			return fmt.Errorf("hold takes an address and a number")
		}
		return hold(args[1], args[2])
	case "listen":
		return listen(args[1])
	case "tell":
		return tell(args[1], args[2:])
	case "ask":
		if len(args) != 3 {
			return fmt.Errorf("ask takes tcp or udp, and an address")
		}
		return ask(args[1], args[2])
	}
	return fmt.Errorf("%s: no such subcommand", args[0])
}
