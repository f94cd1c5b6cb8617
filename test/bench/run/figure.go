// Package run measures: it runs slices of work on systems that are set up, side by side
// and in shuffled order, and checks in each that the work was done.
package run

import (
	"slices"
	"strings"

	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
)

// Pin says which CPUs the two ends run on.
type Pin int

const (
	Together Pin = iota // both on the first: nothing overlaps, and every cost shows
	Apart               // on one each, where there are two
	Free                // wherever the kernel puts them
)

// modeIperf is what iperf3 does, beside the modes of the tool.
const modeIperf = "iperf3"

// Figure is one thing to measure, of every system that has its direction.
type Figure struct {
	ID        string
	What      string // in a few words
	Unit      string // of the value; more is better
	Direction systems.Direction
	Mode      string // of the tool, or modeIperf
	Pin       Pin
	Streams   int  // of iperf3
	Down      bool // iperf3: the server sends
	Every     int  // measured in each so-manieth block only, to leave time to others; 0: in all
}

// In says whether the figure is measured in a block.
func (f Figure) In(block int) bool { return f.Every == 0 || block%f.Every == 0 }

// Always has all figures measured in each block.
func Always(all []Figure) []Figure {
	all = slices.Clone(all)
	for i := range all {
		all[i].Every = 0
	}
	return all
}

// What takes a second at least, or says little that the rest does not, comes less often.
const (
	seldom = 2
	rarely = 4
)

// Figures are all that there are.
func Figures() []Figure {
	var all []Figure
	for _, d := range []struct {
		direction systems.Direction
		what      string
	}{
		{systems.Published, "outside → published port"},
		{systems.Masquerade, "container → outside"},
		{systems.C2C, "container → container"},
		{systems.Localhost, "host → published port by 127.0.0.1"},
	} {
		all = append(all,
			Figure{ID: string(d.direction) + ".rr", What: d.what + ", requests", Unit: "1/s", Direction: d.direction, Mode: tool.RR},
			Figure{ID: string(d.direction) + ".crr", What: d.what + ", connections", Unit: "1/s", Direction: d.direction, Mode: tool.CRR},
		)
	}
	all = append(all,
		Figure{ID: "published.rr.unpinned", What: "outside → published port, requests, CPUs not chosen", Unit: "1/s", Direction: systems.Published, Mode: tool.RR, Pin: Free, Every: rarely},
		Figure{ID: "published.crr.unpinned", What: "outside → published port, connections, CPUs not chosen", Unit: "1/s", Direction: systems.Published, Mode: tool.CRR, Pin: Free, Every: rarely},
		Figure{ID: "published.udp", What: "outside → published port, datagrams of 64 bytes that arrive", Unit: "1/s", Direction: systems.Published, Mode: tool.UDP, Pin: Apart},
	)
	for _, t := range []struct {
		id, what  string
		direction systems.Direction
		streams   int
		down      bool
	}{
		{"published.tcp1.up", "outside → published port, one stream", systems.Published, 1, false},
		{"published.tcp1.down", "published port → outside, one stream", systems.Published, 1, true},
		{"published.tcp4.up", "outside → published port, four streams", systems.Published, 4, false},
		{"published.tcp4.down", "published port → outside, four streams", systems.Published, 4, true},
		{"c2c.tcp1", "container → container, one stream", systems.C2C, 1, false},
		{"c2c.tcp4", "container → container, four streams", systems.C2C, 4, false},
	} {
		every := seldom
		if t.streams > 1 {
			every = rarely
		}
		all = append(all, Figure{
			ID: t.id, What: t.what, Unit: "bit/s", Direction: t.direction,
			Mode: modeIperf, Pin: Apart, Streams: t.streams, Down: t.down, Every: every,
		})
	}
	return all
}

// Select keeps the figures whose ID is, or begins with, one of the words; all of them
// where there are no words.
func Select(all []Figure, words []string) []Figure {
	if len(words) == 0 {
		return all
	}
	var out []Figure
	for _, f := range all {
		for _, w := range words {
			if f.ID == w || strings.HasPrefix(f.ID, w+".") {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

// WithoutStreams leaves out what iperf3 measures.
func WithoutStreams(all []Figure) []Figure {
	return slices.DeleteFunc(slices.Clone(all), func(f Figure) bool { return f.Mode == modeIperf })
}

// Brief leaves out what says little that the rest does not.
func Brief(all []Figure) []Figure {
	return slices.DeleteFunc(slices.Clone(all), func(f Figure) bool { return f.Streams > 1 || f.Pin == Free })
}
