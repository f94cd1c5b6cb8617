package run

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
	"github.com/ebnet/ebnet/test/lab"
)

// How much may be sent again before a slice does not count: of transactions, and of the
// segments of streams, which overrun a queue now and then whoever carries them.
const (
	talkAgain   = 0.0005
	streamAgain = 0.02
	// of any slice: what is late by milliseconds only is sent again, too
	always = 20
)

// segment is the least that a stream sends at once, in bytes.
const segment = 1448

func (s *Slice) fail(format string, args ...any) {
	if s.Failed != "" {
		s.Failed += "; "
	}
	s.Failed += fmt.Sprintf(format, args...)
}

// begin notes what must hold at the end of a slice. What it returns looks at it.
func begin(w *systems.World, f Figure, route systems.Route) func(*Slice, systems.Work) {
	checked, isChecked := w.System.(systems.Checked)
	end := func(systems.Work) error { return nil }
	if isChecked {
		end = checked.Check(f.Direction)
	}
	conntrack, again := tracked(route.Host), retransmits(route)
	return func(s *Slice, work systems.Work) {
		s.Retransmits = retransmits(route) - again
		s.Conntrack = tracked(route.Host) - conntrack
		if err := end(work); err != nil {
			s.fail("%v", err)
		}
		if isChecked && s.Conntrack != 0 {
			s.fail("nf_conntrack_count on the host has changed by %d", s.Conntrack)
		}
		if t, ok := w.System.(systems.Tracked); ok && t.Tracks(f.Direction) && tracked(route.Host) == 0 {
			s.fail("netfilter on the host tracks nothing")
		}
		s.checkRetransmits(f, work)
	}
}

// checkRetransmits refuses a slice in which much was sent again: it compares the losses
// of queues, not systems.
func (s *Slice) checkRetransmits(f Figure, work systems.Work) {
	var limit float64
	switch f.Mode {
	case tool.UDP:
		return
	case modeIperf:
		limit = streamAgain * float64(work.Bytes/segment)
	default:
		limit = talkAgain * float64(work.Packets)
	}
	if float64(s.Retransmits) > limit+always {
		s.fail("%d segments were sent again, %.0f may be", s.Retransmits, limit+always)
	}
}

func retransmits(route systems.Route) int {
	n := route.Client.SNMP("Tcp", "RetransSegs")
	if route.Server != route.Client {
		n += route.Server.SNMP("Tcp", "RetransSegs")
	}
	return n
}

// tracked is how many connections conntrack knows on a machine; 0 without conntrack.
func tracked(m *lab.Machine) int {
	if m == nil {
		return 0
	}
	var n int
	m.Do(func() error {
		text, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
		if os.IsNotExist(err) {
			return nil
		}
		if err == nil {
			n, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err
	})
	return n
}
