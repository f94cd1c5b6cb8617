// Package stats compares systems that were measured side by side.
//
// The speed of a machine changes from minute to minute by more than what is looked for.
// So systems are compared within a block, a few minutes at most, and the blocks' ratios
// with each other: their median, and a bootstrap interval for it.
package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Ratio is how a stands to b: 1.1 is a tenth more.
type Ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"` // of the 95 % interval
	High   float64 `json:"high"`
	Blocks int     `json:"blocks"`
}

// resamples is how often the bootstrap draws.
const resamples = 4000

// Pair is what one block has measured of two systems.
type Pair struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
}

// Compare finds the ratio of a to b. It is the zero value where there is nothing to
// compare. The same pairs give the same interval.
func Compare(pairs []Pair) Ratio {
	var logs []float64
	for _, p := range pairs {
		if p.A > 0 && p.B > 0 {
			logs = append(logs, math.Log(p.A/p.B))
		}
	}
	if len(logs) == 0 {
		return Ratio{}
	}
	low, high := bootstrap(logs)
	return Ratio{Median: math.Exp(Median(logs)), Low: math.Exp(low), High: math.Exp(high), Blocks: len(logs)}
}

// bootstrap is the 95 % interval of the median.
func bootstrap(values []float64) (low, high float64) {
	random := rand.New(rand.NewPCG(1, uint64(len(values))))
	medians := make([]float64, resamples)
	sample := make([]float64, len(values))
	for i := range medians {
		for j := range sample {
			sample[j] = values[random.IntN(len(values))]
		}
		medians[i] = Median(sample)
	}
	slices.Sort(medians)
	return medians[resamples*25/1000], medians[resamples*975/1000-1]
}

// Median of values; it does not keep their order. 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// Noise is how far two measurements of the same may differ, as a share: 0.02 is 2 %.
// again is the ratio of a system to itself; the farther end of its interval counts, so
// that a pair that is uneven by itself hides what is smaller than that.
func Noise(again Ratio) float64 {
	if again.Blocks == 0 {
		return 0
	}
	return math.Exp(max(math.Abs(math.Log(again.Low)), math.Abs(math.Log(again.High)))) - 1
}

// Verdict is what a ratio says.
type Verdict string

const (
	More         Verdict = "more"
	Less         Verdict = "less"
	NoDifference Verdict = "no difference"
	Unknown      Verdict = "not measured"
)

// Judge holds a ratio against the noise: it says more or less only if the whole
// interval does, and the median does by more than the noise.
func Judge(r Ratio, noise float64) Verdict {
	switch {
	case r.Blocks == 0:
		return Unknown
	case r.Low > 1 && r.Median > 1+noise:
		return More
	case r.High < 1 && r.Median < 1/(1+noise):
		return Less
	}
	return NoDifference
}
