package bpf_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String is what a person has to know of a packet, in IPv4's names.
func (p modelPacket) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "proto %d %s > %s ttl %d", p.proto, p.src, p.dst, p.ttl)
	if p.proto == tcp && !p.raw {
		b.WriteString(" flags " + tcpFlags(p.tcp))
	}
	if p.cut > 0 {
		fmt.Fprintf(&b, " piece %d of %d bytes, id %d", p.nth, p.cut, p.id)
	}
	if p.fragment != 0 {
		fmt.Fprintf(&b, " fragment %#x", p.fragment)
	}
	if p.options > 0 {
		fmt.Fprintf(&b, " options %d", p.options)
	}
	if p.raw {
		fmt.Fprintf(&b, " raw %x", p.payload)
	}
	if p.about != nil {
		fmt.Fprintf(&b, " error %v, %d bytes of (%s)", p.kind, p.quote, modelPacket{packet: *p.about})
	}
	return b.String()
}

func (t fiveTuple) String() string { return fmt.Sprintf("proto %d %v > %v", t.proto, t.src, t.dst) }

func tcpFlags(flags uint8) string {
	s := ""
	for bit, name := range map[uint8]string{fin: "F", syn: "S", rst: "R", ack: "."} {
		if flags&bit != 0 {
			s += name
		}
	}
	return s
}

// wayOf names the kind of case that a packet was.
func wayOf(s modelSent, o outcome) string {
	form := "packet"
	switch {
	case s.isError:
		form = "error"
	case s.cut > 0:
		form = "fragment"
	}
	changed := "as it is"
	if o.out.src != s.src || o.out.dst != s.dst {
		changed = "translated"
	}
	from := s.from
	if len(from) == 1 {
		from = "container"
	}
	switch {
	case o.verdict == shot && o.counts:
		return fmt.Sprintf("%s from %s dropped: %v", form, from, o.reason)
	case o.verdict == shot:
		return fmt.Sprintf("%s from %s waits", form, from)
	case o.verdict == pass:
		return fmt.Sprintf("%s from %s passes %s", form, from, changed)
	}
	to := o.to
	if len(to) == 1 {
		to = "container"
	}
	return fmt.Sprintf("%s from %s to %s %s", form, from, to, changed)
}

// wantAllWays: what was never asked is not compared.
func (r *modelRun) wantAllWays() {
	r.h.t.Helper()
	for way, n := range r.m.met {
		r.ways[way] = n
	}
	for _, way := range slices.Sorted(maps.Keys(r.ways)) {
		r.h.t.Logf("%6d %s", r.ways[way], way)
	}
	if r.sent < modelPackets {
		return // too few for all
	}
	for _, way := range modelWays() {
		if r.ways[way] == 0 {
			r.h.t.Errorf("no %s", way)
		}
	}
}

// modelWays are those that every run has to have had.
func modelWays() []string {
	ways := []string{
		"handed in again", "publish again", "masquerade again", "hairpin again", "an RST is not believed",
		"a hairpin to itself", "a stand-in for an outside port", "a port below 1024", "a neighbour ends a hairpin",
	}
	for _, form := range []string{"packet", "fragment", "error"} {
		for _, way := range []string{
			"container to outside translated", "container to outside as it is", "container to container translated",
			"container to container as it is", "outside to container translated", "outside to container as it is",
			"container passes as it is", "outside passes as it is", "host passes as it is", "host passes translated",
			"container dropped: source", "container dropped: isolated", "container dropped: no_flow", "outside dropped: direct",
		} {
			ways = append(ways, form+" from "+way)
		}
	}
	return append(
		ways, "fragment from container waits", "fragment from outside waits", "packet from container to kernel as it is",
		"packet from outside to kernel translated", "packet from kernel passes translated", "fragment from kernel passes translated",
		"packet from kernel dropped: leak", "packet from container dropped: invalid", "packet from container dropped: unsupported",
		"packet from container dropped: no_port", "packet from outside dropped: source", "error from container dropped: ttl",
		"publish, protocol 6", "publish, protocol 17", "hairpin, protocol 6", "hairpin, protocol 17", "forward, protocol 6",
		"forward, protocol 17", "forward, protocol 1", "masquerade, protocol 6", "masquerade, protocol 17",
		"masquerade, protocol 1", "host, protocol 6", "host, protocol 17",
	)
}

// note remembers what the model says of a packet.
func (r *modelRun) note(s modelSent, o outcome) {
	line := fmt.Sprintf("#%d from %s: %s: ", r.sent, s.from, s)
	switch {
	case o.verdict == shot && o.counts:
		line += "dropped: " + o.reason.String()
	case o.verdict == shot:
		line += fmt.Sprintf("waits, %d come again", len(o.again))
	case o.verdict == pass:
		line += "passes as " + o.out.String()
	default:
		line += fmt.Sprintf("to %s as %s", o.to, o.out)
	}
	if r.recent = append(r.recent, line); len(r.recent) > 13 {
		r.recent = r.recent[1:]
	}
	r.ways[wayOf(s, o)]++
}

func (r *modelRun) fail(diff string, in, got []byte) {
	r.h.t.Helper()
	for _, line := range r.recent {
		r.h.t.Log(line)
	}
	r.h.t.Fatalf("EBNET_MODEL_SEED=%d, packet %d: %s\n got %x\n  in %x", r.seed, r.sent, diff, got, in)
}
