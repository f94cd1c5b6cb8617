package run

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
)

// Slice is one short measurement of one figure of one system.
type Slice struct {
	Block       int           `json:"block"`
	Figure      string        `json:"figure"`
	System      string        `json:"system"`
	Value       float64       `json:"value"` // in the figure's unit
	P50         time.Duration `json:"p50_ns,omitempty"`
	P99         time.Duration `json:"p99_ns,omitempty"`
	P999        time.Duration `json:"p999_ns,omitempty"`
	Sent        uint64        `json:"sent"`     // bytes of payload that the ends say they have sent
	Received    uint64        `json:"received"` // and received
	Retransmits int           `json:"retransmits"`
	Conntrack   int           `json:"conntrack"` // entries on the host that were not there before
	Failed      string        `json:"failed,omitempty"`
}

// Measure runs one slice on a world. What the checks find is in Failed; the error is for
// what could not be measured at all. ok is false where the system has no such figure.
func Measure(w *systems.World, f Figure, length time.Duration) (s Slice, ok bool, err error) {
	var route systems.Route
	if route, ok = w.Route(f.Direction); !ok {
		return Slice{}, false, nil
	}
	s, err = MeasureRoute(w, f, route, length)
	return s, true, err
}

// MeasureRoute is Measure on a route of the caller's choosing.
func MeasureRoute(w *systems.World, f Figure, route systems.Route, length time.Duration) (Slice, error) {
	s := Slice{Figure: f.ID, System: w.Name()}
	var err error
	if fatal := w.Do(func() {
		end := begin(w, f, route)
		var work systems.Work
		if f.Mode == modeIperf {
			work, err = stream(&s, f, route, length)
		} else {
			work, err = talk(&s, f, route, length)
		}
		if err == nil {
			end(&s, work)
		}
	}); fatal != nil {
		err = fatal
	}
	if err != nil {
		return s, fmt.Errorf("%s, %s: %w", w.Name(), f.ID, err)
	}
	return s, nil
}

// cpus are those of client and server; -1 is any.
func (p Pin) cpus() (client, server int) {
	switch {
	case p == Free:
		return -1, -1
	case p == Apart && runtime.NumCPU() > 1:
		return 0, 1
	}
	return 0, 0
}

// talk has the tool's client and server speak to each other.
func talk(s *Slice, f Figure, route systems.Route, length time.Duration) (systems.Work, error) {
	var none systems.Work
	port := uint16(systems.Port)
	if route.Port != 0 {
		port = route.Port
	}
	clientCPU, serverCPU := f.Pin.cpus()
	dir, err := os.MkdirTemp("", "ebnet-bench-")
	if err != nil {
		return none, err
	}
	defer os.RemoveAll(dir)
	counters := filepath.Join(dir, "counters")
	server, err := startTool(route.Server, tool.Args{
		Mode: tool.Serve, Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), port), CPU: serverCPU, Counters: counters,
	})
	if err != nil {
		return none, err
	}
	defer server.kill()
	if err := server.until(func() bool {
		served, err := tool.ReadServed(counters)
		return err == nil && served.Ready == 1
	}); err != nil {
		return none, err
	}
	client, err := startTool(route.Client, tool.Args{
		Mode: f.Mode, Addr: netip.AddrPortFrom(route.Addr, port), CPU: clientCPU, Time: length,
	})
	if err != nil {
		return none, err
	}
	out, err := client.wait(length + patience)
	if err != nil {
		return none, err
	}
	var res tool.Result
	if err := json.Unmarshal(out, &res); err != nil {
		return none, fmt.Errorf("read the client's result: %w in %q", err, out)
	}
	return s.settle(f, res, counters)
}

// settle fills the slice, and holds what one end says against what the other does.
func (s *Slice) settle(f Figure, res tool.Result, counters string) (systems.Work, error) {
	s.P50, s.P99, s.P999 = res.P50, res.P99, res.P999
	if f.Mode == tool.UDP {
		served, err := settled(counters, func(tool.Served) bool { return false })
		if err != nil {
			return systems.Work{}, err
		}
		s.Sent, s.Received = res.Sent, served.Datagram
		s.Value = float64(served.Datagrams) / res.Time.Seconds()
		if served.Datagrams > res.Transactions || served.Datagram != served.Datagrams*tool.UDPPayload {
			s.fail("%d datagrams with %d bytes came of %d", served.Datagrams, served.Datagram, res.Transactions)
		}
		return systems.Work{Packets: served.Datagrams, Bytes: served.Datagram}, nil
	}
	served, err := settled(counters, func(v tool.Served) bool { return v.Received == res.Sent && v.Sent == res.Received })
	if err != nil {
		return systems.Work{}, err
	}
	s.Sent, s.Received = res.Sent+served.Sent, res.Received+served.Received
	s.Value = float64(res.Transactions) / res.Time.Seconds()
	if served.Received != res.Sent || served.Sent != res.Received {
		s.fail("the client says %d bytes there and %d back, the server %d and %d",
			res.Sent, res.Received, served.Received, served.Sent)
	}
	return systems.Work{Packets: 2 * res.Transactions, Bytes: res.Sent + res.Received}, nil
}

// settled reads a server's counters once they are done, or stand still.
func settled(counters string, done func(tool.Served) bool) (tool.Served, error) {
	var last tool.Served
	for range 100 {
		served, err := tool.ReadServed(counters)
		if err != nil || done(served) || served == last {
			return served, err
		}
		last = served
		time.Sleep(20 * time.Millisecond)
	}
	return last, fmt.Errorf("the server does not come to rest")
}

// stream has iperf3 move as much as goes.
func stream(s *Slice, f Figure, route systems.Route, length time.Duration) (systems.Work, error) {
	var none systems.Work
	clientCPU, serverCPU := f.Pin.cpus()
	port := strconv.Itoa(systems.Iperf)
	server, err := start(route.Server, "iperf3", "-s", "-1", "-p", port, "--forceflush")
	if err != nil {
		return none, err
	}
	defer server.kill()
	if err := server.untilSaid("Server listening"); err != nil {
		return none, err
	}
	// iperf3 takes whole seconds
	seconds := strconv.Itoa(int(max(1, math.Round(length.Seconds()))))
	args := []string{
		"iperf3", "-c", route.Addr.String(), "-p", port, "-C", "cubic", "-t", seconds,
		"-P", strconv.Itoa(f.Streams), "-J",
	}
	if clientCPU >= 0 {
		args = append(args, "-A", fmt.Sprintf("%d,%d", clientCPU, serverCPU))
	}
	if f.Down {
		args = append(args, "-R")
	}
	client, err := start(route.Client, args...)
	if err != nil {
		return none, err
	}
	out, err := client.wait(length + patience)
	if err != nil {
		return none, err
	}
	return s.iperf(out, f.Streams)
}

// inFlight is what one end of a stream may have that the other has not when iperf3 stops:
// full buffers of both sockets.
const inFlight = 40 << 20 // bytes

// iperf reads what iperf3 has measured.
func (s *Slice) iperf(out []byte, streams int) (systems.Work, error) {
	var report struct {
		Error string `json:"error"`
		End   struct {
			Sent struct {
				Bytes uint64 `json:"bytes"`
			} `json:"sum_sent"`
			Received struct {
				Bytes uint64  `json:"bytes"`
				Rate  float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return systems.Work{}, fmt.Errorf("read iperf3's report: %w", err)
	}
	if report.Error != "" {
		return systems.Work{}, fmt.Errorf("iperf3: %s", report.Error)
	}
	end := report.End
	s.Value, s.Sent, s.Received = end.Received.Rate, end.Sent.Bytes, end.Received.Bytes
	if s.Received > s.Sent || s.Sent-s.Received > uint64(streams)*inFlight {
		s.fail("one end has sent %d bytes, the other received %d", s.Sent, s.Received)
	}
	return systems.Work{Packets: s.Received / 65536, Bytes: s.Received}, nil
}
