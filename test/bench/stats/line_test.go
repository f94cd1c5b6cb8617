package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The line is found although the speed of every block is another.
func TestExtrapolate(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var points []Point
	for _, x := range []float64{100, 300, 1000, 3000} {
		p := Point{X: x}
		for range 20 {
			b := 10000 * math.Exp(random.NormFloat64()*0.7)
			p.Pairs = append(p.Pairs, Pair{A: b * (1.3 + 0.001*x) * math.Exp(random.NormFloat64()*0.02), B: b})
		}
		points = append(points, p)
	}
	r := Extrapolate(points, 10000)
	if r.Blocks != 20 || math.Abs(r.Median-11.3) > 0.3 || r.Low > 11.3 || r.High < 11.3 {
		t.Errorf("%+v, want 11.3", r)
	}
}

func TestExtrapolateNothing(t *testing.T) {
	one := Point{X: 1, Pairs: []Pair{{A: 1, B: 1}}}
	gap := Point{X: 2, Pairs: []Pair{{A: 1, B: 0}}}
	for _, points := range [][]Point{nil, {one}, {one, gap}, {one, {X: 2}}} {
		if r := Extrapolate(points, 10); r != (Ratio{}) {
			t.Errorf("%+v says %+v", points, r)
		}
	}
}
