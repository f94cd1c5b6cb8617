package stats

// Point is what was measured of two systems with so much of something.
type Point struct {
	X     float64
	Pairs []Pair // of the blocks
}

// Extrapolate says what the ratio of a to b would be at x if it went on along the
// straight line that fits it best. Each block has a line of its own, and the median of
// what they say is the result: its interval shows how sure the line is, not whether it
// is one. It is the zero value with less than two points.
func Extrapolate(points []Point, x float64) Ratio {
	if len(points) < 2 {
		return Ratio{}
	}
	blocks := len(points[0].Pairs)
	for _, p := range points {
		blocks = min(blocks, len(p.Pairs))
	}
	var ends []Pair
	for block := range blocks {
		var xs, ys []float64
		for _, p := range points {
			if pair := p.Pairs[block]; pair.A > 0 && pair.B > 0 {
				xs, ys = append(xs, p.X), append(ys, pair.A/pair.B)
			}
		}
		if len(xs) == len(points) {
			offset, slope := line(xs, ys)
			ends = append(ends, Pair{A: offset + slope*x, B: 1})
		}
	}
	return Compare(ends)
}

// line is the one with the least squares.
func line(xs, ys []float64) (offset, slope float64) {
	n := float64(len(xs))
	var x, y, xx, xy float64
	for i := range xs {
		x, y = x+xs[i]/n, y+ys[i]/n
	}
	for i := range xs {
		xx += (xs[i] - x) * (xs[i] - x)
		xy += (xs[i] - x) * (ys[i] - y)
	}
	slope = xy / xx
	return y - slope*x, slope
}
