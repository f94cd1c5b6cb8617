// Command demo shows ebnet at work to somebody who has just cloned it: `make demo`.
// It prints each command with what it is for, runs it, and leaves nothing behind.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ebnet := flag.String("ebnet", "bin/ebnet", "the `binary` to show")
	serveAt := flag.String("serve", "", "be the demo's web server at `ADDR`")
	fetchURL := flag.String("fetch", "", "be the demo's web client and fetch `URL`")
	flag.Parse()

	var err error
	switch {
	case *serveAt != "":
		err = serve(*serveAt)
	case *fetchURL != "":
		err = fetch(*fetchURL)
	default:
		err = demo(*ebnet)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// demo runs the show. Whatever happens, it takes down what it has built.
func demo(ebnet string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("make namespaces: needs root")
	}
	// An interrupt ends the command in the foreground only; the step fails, and all is
	// taken down.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM)
	w, err := newWorld(ebnet)
	if err == nil {
		err = show(w)
	}
	if w != nil {
		err = errors.Join(err, w.close(err != nil))
	}
	if err == nil {
		w.say("Nothing is left behind: no program, map, link, namespace or process.")
	}
	return err
}

// show is the tour, step by step.
func show(w *world) error {
	w.say("Two machines, as network namespaces with a cable between them: host (%s) and client (%s).", hostIP, clientIP)
	w.say("The host forwards nothing (ip_forward=0) and has no iptables or nftables rule.")

	w.say("The agent. It makes the network \"default\" on bridge ebnet0 and finds the uplink by itself.")
	if err := w.startAgent(); err != nil {
		return err
	}
	if err := w.run(w.host, "ebnet", "status", "--wait", "30s"); err != nil {
		return err
	}

	w.say("A web server in a sandbox, published on the host's port 8080.")
	if err := w.startWeb("web", "8080:80"); err != nil {
		return err
	}
	w.say("From the client. The server sees the client's own address.")
	if err := w.fetch(w.client, "http://"+hostIP+":8080/", clientIP); err != nil {
		return err
	}
	w.say("From the host itself, on localhost. No proxy: the socket is led to the container.")
	if err := w.fetch(w.host, "http://127.0.0.1:8080/", ""); err != nil {
		return err
	}

	w.say("A second port, while the server runs.")
	if err := w.run(w.host, "ebnet", "publish", "9090:80", "--to", "web"); err != nil {
		return err
	}
	if err := w.fetch(w.client, "http://"+hostIP+":9090/", clientIP); err != nil {
		return err
	}

	w.say("A second sandbox reaches the client's web server. It is seen as the host: masquerade.")
	if err := w.run(w.host, "ebnet", "sandbox", "create", "db"); err != nil {
		return err
	}
	if err := w.runClientWeb(); err != nil {
		return err
	}
	if err := w.fetchIn("db", "http://"+clientIP+"/", hostIP); err != nil {
		return err
	}

	w.say("What there is.")
	for _, command := range []string{"sandbox ls", "port", "flows", "status"} {
		if err := w.run(w.host, append([]string{"ebnet"}, strings.Fields(command)...)...); err != nil {
			return err
		}
	}
	w.say("The counters, for Prometheus at http://127.0.0.1:10469/metrics on the host.")
	return w.counters("ebnet_packets_total", "ebnet_bytes_total", "ebnet_publish_flows_total")
}

// patience is how long something may take before the demo gives up.
const patience = 20 * time.Second
