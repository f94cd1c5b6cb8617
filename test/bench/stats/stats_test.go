package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// pairs draws blocks whose speed swings by a factor of four, while the ratio swings
// by a few percent.
func pairs(seed uint64, blocks int, ratio float64) []Pair {
	random := rand.New(rand.NewPCG(seed, 0))
	var out []Pair
	for range blocks {
		b := 10000 * math.Exp(random.NormFloat64()*0.7)
		out = append(out, Pair{A: b * ratio * math.Exp(random.NormFloat64()*0.03), B: b})
	}
	return out
}

func TestCompare(t *testing.T) {
	covered := 0
	for seed := range uint64(200) {
		r := Compare(pairs(seed, 20, 1.3))
		if r.Blocks != 20 || r.Low > r.Median || r.Median > r.High {
			t.Fatalf("%+v", r)
		}
		if math.Abs(r.Median-1.3) > 0.05 {
			t.Errorf("seed %d: median %.3f, want 1.3", seed, r.Median)
		}
		if r.Low <= 1.3 && 1.3 <= r.High {
			covered++
		}
	}
	// 95 % in the long run; the seeds are fixed, so this is no matter of luck
	if covered < 180 {
		t.Errorf("the interval holds the truth %d times of 200", covered)
	}
}

func TestCompareIsSymmetric(t *testing.T) {
	ab := pairs(3, 21, 1.2)
	var ba []Pair
	for _, p := range ab {
		ba = append(ba, Pair{A: p.B, B: p.A})
	}
	if got := Compare(ab).Median * Compare(ba).Median; math.Abs(got-1) > 1e-9 {
		t.Errorf("a/b times b/a is %v", got)
	}
}

func TestCompareWithoutPairs(t *testing.T) {
	for _, in := range [][]Pair{nil, {{A: 0, B: 1}, {A: 1, B: 0}}} {
		if r := Compare(in); r != (Ratio{}) {
			t.Errorf("%v: %+v", in, r)
		}
	}
}

func TestJudge(t *testing.T) {
	for _, row := range []struct {
		name  string
		ratio Ratio
		noise float64
		want  Verdict
	}{
		{"nothing measured", Ratio{}, 0.01, Unknown},
		{"clearly more", Ratio{1.2, 1.1, 1.3, 20}, 0.02, More},
		{"clearly less", Ratio{0.8, 0.7, 0.9, 20}, 0.02, Less},
		{"more, but within the noise", Ratio{1.015, 1.01, 1.02, 20}, 0.02, NoDifference},
		{"less, but within the noise", Ratio{0.985, 0.98, 0.99, 20}, 0.02, NoDifference},
		{"the interval says both", Ratio{1.2, 0.99, 1.3, 20}, 0.02, NoDifference},
	} {
		if got := Judge(row.ratio, row.noise); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

// The same system twice: nothing is claimed, whatever the seed.
func TestAgainstItself(t *testing.T) {
	for seed := range uint64(200) {
		again := Compare(pairs(seed, 20, 1))
		if got := Judge(again, Noise(again)); got != NoDifference {
			t.Errorf("seed %d: %+v against itself: %s", seed, again, got)
		}
	}
}

func TestNoise(t *testing.T) {
	if got := Noise(Ratio{1, 0.98, 1.01, 20}); math.Abs(got-(1/0.98-1)) > 1e-9 {
		t.Errorf("noise %v", got)
	}
	if got := Noise(Ratio{}); got != 0 {
		t.Errorf("noise without a pair: %v", got)
	}
}

func TestMedian(t *testing.T) {
	for _, row := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := Median(row.in); got != row.want {
			t.Errorf("%v: %v", row.in, got)
		}
	}
}
