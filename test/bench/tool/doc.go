// Package tool is the benchmark's own load: a server and clients that cost little
// themselves, so that what is between them shows.
//
// They are one thread each, on blocking sockets by raw system calls: the Go scheduler
// and its poller stay out of the way. The benchmark's binary runs them as
// `bench tool MODE ...`, in the namespace of one end.
package tool

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"
)

// What a tool process can be.
const (
	Serve = "serve" // the other end of all
	RR    = "rr"    // request and response of one byte, on one connection
	CRR   = "crr"   // connect, request, response, close
	UDP   = "udp"   // datagrams one way, as many as go
)

// UDPPayload is the length of a datagram, in bytes.
const UDPPayload = 64

// Args are what a tool is asked to do.
type Args struct {
	Mode     string
	Addr     netip.AddrPort // a client's peer; of a server, the port alone counts
	CPU      int            // that it runs on; -1: any
	Time     time.Duration  // of a client
	Counters string         // file that a server keeps its counters in
}

// Words are the command line of a; see Main.
func (a Args) Words() []string {
	return []string{
		a.Mode, "-addr", a.Addr.String(), "-cpu", fmt.Sprint(a.CPU), "-time", a.Time.String(), "-counters", a.Counters,
	}
}

// Result is what a client has measured, as it prints it.
type Result struct {
	Transactions uint64        `json:"transactions"` // of UDP: datagrams sent
	Sent         uint64        `json:"sent"`         // bytes of payload
	Received     uint64        `json:"received"`
	Time         time.Duration `json:"time_ns"`
	P50          time.Duration `json:"p50_ns"`
	P99          time.Duration `json:"p99_ns"`
	P999         time.Duration `json:"p999_ns"`
}

// Main is the tool's process: words are its mode and its flags. It returns the exit
// status.
func Main(words []string, out io.Writer) int {
	if err := run(words, out); err != nil {
		fmt.Fprintf(os.Stderr, "tool: %v\n", err)
		return 1
	}
	return 0
}

func run(words []string, out io.Writer) error {
	if len(words) == 0 {
		return fmt.Errorf("no mode is given")
	}
	a := Args{Mode: words[0]}
	flags := flag.NewFlagSet("tool", flag.ContinueOnError)
	flags.TextVar(&a.Addr, "addr", netip.AddrPort{}, "peer, or a server's port, as `ADDR:PORT`")
	flags.IntVar(&a.CPU, "cpu", -1, "`CPU` to run on; -1 is any")
	flags.DurationVar(&a.Time, "time", time.Second, "how `long` a client runs")
	flags.StringVar(&a.Counters, "counters", "", "`file` for a server's counters")
	if err := flags.Parse(words[1:]); err != nil {
		return err
	}
	if err := quieten(a.CPU); err != nil {
		return err
	}
	if a.Mode == Serve {
		return serve(a)
	}
	client, ok := map[string]func(Args) (Result, error){RR: requests, CRR: connections, UDP: datagrams}[a.Mode]
	if !ok {
		return fmt.Errorf("no mode %q", a.Mode)
	}
	res, err := client(a)
	if err != nil {
		return fmt.Errorf("%s %s: %w", a.Mode, a.Addr, err)
	}
	return json.NewEncoder(out).Encode(res)
}
