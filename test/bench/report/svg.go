package report

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/ebnet/ebnet/test/bench/stats"
)

// Plots are drawn in greys and one blue that can be read on white and on black, on no
// ground of their own.
const (
	grey = "#808080"
	blue = "#3b82f6"
)

// bar is one line of a plot of ratios.
type bar struct {
	label string
	ratio stats.Ratio
	ours  bool
}

const (
	plotWidth  = 760
	labelWidth = 170
	textWidth  = 150 // of the ratio behind the bar
	barHeight  = 24
)

// bars draws ratios with their intervals, and a line at 1.
func bars(title string, all []bar) string {
	top := 1.05
	for _, b := range all {
		top = max(top, b.ratio.High*1.03)
	}
	scale := (plotWidth - labelWidth - textWidth) / top
	height := 40 + barHeight*len(all)
	var s svg
	s.begin(plotWidth, height, title)
	s.text(0, 18, "start", grey, title)
	for i, b := range all {
		y := 32 + barHeight*i
		colour := grey
		if b.ours {
			colour = blue
		}
		s.text(labelWidth-8, y+14, "end", colour, b.label)
		s.add(`<rect x="%d" y="%d" width="%.1f" height="14" fill="%s" fill-opacity="0.55"/>`, labelWidth, y+3, b.ratio.Median*scale, colour)
		s.add(`<path d="M%.1f %dH%.1fM%.1f %dV%dM%.1f %dV%d" stroke="%s" stroke-width="1.5" fill="none"/>`,
			labelWidth+b.ratio.Low*scale, y+10, labelWidth+b.ratio.High*scale,
			labelWidth+b.ratio.Low*scale, y+6, y+14, labelWidth+b.ratio.High*scale, y+6, y+14, colour)
		s.text(plotWidth-textWidth+12, y+14, "start", colour, fmt.Sprintf("%.3f ±%.3f", b.ratio.Median, (b.ratio.High-b.ratio.Low)/2))
	}
	s.add(`<path d="M%.1f 28V%d" stroke="%s" stroke-dasharray="3 3"/>`, labelWidth+scale, height-6, grey)
	return s.end()
}

// point is a place in a plot of a series.
type point struct {
	x     int
	ratio stats.Ratio
	guess bool // nobody has measured it
}

// curve draws ratios over a count that grows by powers of ten.
func curve(title string, all []point) string {
	const left, top, width, height = 60, 34, 640, 200
	var s svg
	s.begin(plotWidth, top+height+40, title)
	s.text(0, 18, "start", grey, title)
	most, high := 1.0, 1.25
	for _, p := range all {
		most = max(most, math.Log10(float64(p.x)))
		for p.ratio.High > high {
			high *= 2
		}
	}
	x := func(n int) float64 { return left + math.Log10(float64(n))/most*width }
	y := func(v float64) float64 { return top + (1-v/high)*height }
	for i := range 6 {
		v := high * float64(i) / 5
		s.add(`<path d="M%d %.1fH%d" stroke="%s" stroke-opacity="0.3"/>`, left, y(v), left+width, grey)
		s.text(left-8, int(y(v))+4, "end", grey, fmt.Sprint(v))
	}
	var path []string
	for i, p := range all {
		if p.guess && i > 0 {
			from := all[i-1]
			s.add(`<path d="M%.1f %.1fL%.1f %.1f" stroke="%s" stroke-dasharray="4"/>`, x(from.x), y(from.ratio.Median), x(p.x), y(p.ratio.Median), blue)
		} else {
			path = append(path, fmt.Sprintf("%.1f %.1f", x(p.x), y(p.ratio.Median)))
		}
		s.add(`<path d="M%.1f %.1fV%.1f" stroke="%s" stroke-width="1.5"/>`, x(p.x), y(p.ratio.Low), y(p.ratio.High), blue)
		s.add(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x(p.x), y(p.ratio.Median), blue)
		s.text(int(x(p.x)), top+height+20, "middle", grey, fmt.Sprint(p.x))
	}
	if len(path) > 0 {
		s.add(`<path d="M%s" stroke="%s" stroke-width="1.5" fill="none"/>`, strings.Join(path, "L"), blue)
	}
	return s.end()
}

// svg is a drawing under way.
type svg struct{ strings.Builder }

func (s *svg) begin(width, height int, title string) {
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" role="img">`,
		width, height, width, height)
	s.add(`<title>%s</title>`, html.EscapeString(title))
}

func (s *svg) add(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

func (s *svg) text(x, y int, anchor, colour, text string) {
	s.add(`<text x="%d" y="%d" text-anchor="%s" fill="%s">%s</text>`, x, y, anchor, colour, html.EscapeString(text))
}

func (s *svg) end() string {
	s.add(`</svg>`)
	return s.String()
}
