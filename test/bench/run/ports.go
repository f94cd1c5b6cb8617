package run

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/test/bench/systems"
)

// Ports of one address that the series publishes.
const (
	firstPort   = 10000
	portsOfAddr = 50000
)

// publishTries is how often a single port is published for its latency.
const publishTries = 300

// ports measures the last port's connections while there are more and more, and what
// publishing costs.
func (s *Scale) ports(ctx context.Context, series *Series) error {
	series.What = "connections a second to the last of so many published ports"
	e := s.ebnet()
	client := e.Client()
	defer client.Close()
	if err := s.bulk(ctx, client, 10000); err != nil {
		return err
	}
	have := 0
	for _, count := range s.steps(1, 100, 1000, 10000, 100000) {
		var last systems.Route
		for have < count {
			addr, offset := e.HostAddrs()[have/portsOfAddr], have%portsOfAddr
			n := min(count-have, portsOfAddr-offset)
			spec := portRange(addr, firstPort+offset, n)
			if _, err := client.Publish(ctx, api.PublishCreate{Spec: spec, Sandbox: "web"}); err != nil {
				return fmt.Errorf("publish %d ports: %w", n, err)
			}
			have += n
			last = systems.Route{Addr: addr, Port: spec.HostPortEnd}
		}
		if err := s.point(ctx, series, count, func(r *systems.Route) { r.Addr, r.Port = last.Addr, last.Port }); err != nil {
			return err
		}
	}
	if err := s.latency(ctx, client, have); err != nil {
		return err
	}
	return unpublishAll(ctx, client)
}

// portRange publishes ports as they are.
func portRange(addr netip.Addr, first, count int) api.PublishSpec {
	a, b := uint16(first), uint16(first+count-1)
	return api.PublishSpec{HostIP: addr, HostPort: a, HostPortEnd: b, Port: a, PortEnd: b, Proto: "tcp"}
}

// bulk measures a range as a whole: time, and the agent's memory before and after. The
// agent starts anew for that: what it has freed before would hide what it takes.
func (s *Scale) bulk(ctx context.Context, client *api.Client, count int) error {
	if s.Limit > 0 {
		count = min(count, s.Limit)
	}
	if err := s.Grown.Do(func() {
		s.ebnet().Agent.Stop()
		s.ebnet().Agent.Start()
	}); err != nil {
		return err
	}
	before, err := residentMemory(s.ebnet().Agent.PID())
	if err != nil {
		return err
	}
	spec := portRange(s.ebnet().HostAddrs()[0], firstPort, count)
	var times []time.Duration
	for range 5 {
		start := time.Now()
		if _, err := client.Publish(ctx, api.PublishCreate{Spec: spec, Sandbox: "web"}); err != nil {
			return fmt.Errorf("publish %d ports: %w", count, err)
		}
		times = append(times, time.Since(start))
		if len(times) == 1 {
			after, err := residentMemory(s.ebnet().Agent.PID())
			if err != nil {
				return err
			}
			s.once("publish.bulk.memory", fmt.Sprintf("agent's memory, more with %d ports", count), count, max(0, float64(after)-float64(before)), "B")
		}
		if err := unpublishAll(ctx, client); err != nil {
			return err
		}
	}
	slices.Sort(times)
	s.once("publish.bulk", fmt.Sprintf("publishing a range of %d ports, median of %d", count, len(times)), count, times[len(times)/2].Seconds(), "s")
	return nil
}

// latency measures how long one more port takes.
func (s *Scale) latency(ctx context.Context, client *api.Client, have int) error {
	spec := portRange(netip.Addr{}, 61234, 1)
	tries := publishTries
	if s.Limit > 0 {
		tries = min(tries, s.Limit)
	}
	var times []time.Duration
	for range tries {
		start := time.Now()
		if _, err := client.Publish(ctx, api.PublishCreate{Spec: spec, Sandbox: "web"}); err != nil {
			return fmt.Errorf("publish one more: %w", err)
		}
		times = append(times, time.Since(start))
		if _, err := client.Unpublish(ctx, api.HostSpec{HostPort: 61234, HostPortEnd: 61234, Proto: "tcp"}); err != nil {
			return fmt.Errorf("unpublish one: %w", err)
		}
	}
	slices.Sort(times)
	s.once("publish.p50", fmt.Sprintf("publishing one port beside %d, p50", have), have, times[len(times)/2].Seconds(), "s")
	s.once("publish.p99", fmt.Sprintf("publishing one port beside %d, p99", have), have, times[len(times)*99/100].Seconds(), "s")
	return nil
}

// unpublishAll takes back what the series has published: all on an address of the host.
func unpublishAll(ctx context.Context, client *api.Client) error {
	all, err := client.Publishes(ctx, "web")
	if err != nil {
		return err
	}
	for _, p := range all {
		addr, err := netip.ParseAddr(p.HostIP)
		if err != nil || addr.IsUnspecified() {
			continue
		}
		if _, err := client.Unpublish(ctx, api.HostSpec{
			HostIP: addr, HostPort: p.HostPort, HostPortEnd: p.HostPortEnd, Proto: p.Proto,
		}); err != nil {
			return fmt.Errorf("unpublish %d: %w", p.HostPort, err)
		}
	}
	return nil
}

var vmRSS = regexp.MustCompile(`VmRSS:\s*(\d+) kB`)

// residentMemory is how much memory a process holds, in bytes.
func residentMemory(pid int) (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	found := vmRSS.FindSubmatch(status)
	if found == nil {
		return 0, fmt.Errorf("no VmRSS of process %d", pid)
	}
	kb, err := strconv.ParseUint(string(found[1]), 10, 64)
	return kb << 10, err
}
