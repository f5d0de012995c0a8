package compare

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
)

// chart is a diagram of several lines, drawn as SVG.
type chart struct {
	name           string // for programs that read the picture aloud
	xLabel, yLabel string
	xUnit          string // in tooltips: "step 100" or "lr 0.01"
	logX           bool
	lines          []line
	// ceiling is the largest value that is drawn; what is above leaves the picture at the top. The lowest value is that of the lines.
	ceiling float64
	// from is the least x that is drawn.
	from float64
}

// line is a variant's.
type line struct {
	name   string
	color  int // of the page's palette
	strong bool
	points []mark
	lost   []mark // without a value: drawn as crosses at the top
}

// mark is a point of a line.
type mark struct {
	x, y   float64
	lo, hi float64 // the band over the seeds
	ring   bool    // stands out
	note   string  // in the tooltip
}

// The picture's extents in pixels. Labels of lines stand to the right of the plot.
const (
	chartWidth  = 960
	plotLeft    = 62
	plotRight   = 786
	plotTop     = 14
	plotHeight  = 330
	labelHeight = 17
	palette     = 12
)

// svg draws the chart.
func (c *chart) svg() string {
	bottom := plotTop + max(plotHeight, float64(labelHeight*len(c.lines)))
	x, y := c.scales(bottom)
	id := strings.ReplaceAll(c.name, " ", "-")
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %.0f" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`+"\n", chartWidth, bottom+48, html.EscapeString(c.name))
	fmt.Fprintf(&b, `<clipPath id="%s"><rect x="%d" y="%d" width="%d" height="%.0f"/></clipPath>`+"\n", id, plotLeft, plotTop, plotRight-plotLeft, bottom-plotTop)
	c.axes(&b, x, y, bottom)
	for _, l := range c.drawingOrder() {
		l.draw(&b, x, y, id, c)
	}
	c.labels(&b, x, y, bottom)
	b.WriteString("</svg>")
	return b.String()
}

// drawingOrder puts strong lines on top.
func (c *chart) drawingOrder() []line {
	lines := slices.Clone(c.lines)
	slices.SortStableFunc(lines, func(a, b line) int {
		switch {
		case a.strong == b.strong:
			return 0
		case a.strong:
			return 1
		}
		return -1
	})
	return lines
}

// scales fits the axes to what is drawn.
func (c *chart) scales(bottom float64) (x, y scale) {
	x = scale{lo: math.Inf(1), hi: math.Inf(-1), from: plotLeft, to: plotRight, log: c.logX, whole: c.xUnit == "step"}
	y = scale{lo: math.Inf(1), hi: c.ceiling, from: bottom, to: plotTop}
	for _, l := range c.lines {
		for _, m := range l.points {
			if m.x >= c.from {
				y.lo = min(y.lo, m.lo)
			}
		}
		for _, m := range slices.Concat(l.points, l.lost) {
			if m.x >= c.from {
				x.lo, x.hi = min(x.lo, m.x), max(x.hi, m.x)
			}
		}
	}
	if math.IsInf(x.lo, 0) {
		x.lo, x.hi = 1, 2
	}
	if c.logX {
		x.lo, x.hi = x.lo/1.25, x.hi*1.25
	} else if x.lo == x.hi {
		x.lo, x.hi = x.lo-1, x.hi+1
	}
	if !(y.lo < y.hi) {
		y.lo, y.hi = y.hi-1, y.hi+1
		if math.IsInf(y.lo, 0) || math.IsNaN(y.lo) {
			y.lo, y.hi = 0, 1
		}
	}
	y.lo -= 0.04 * (y.hi - y.lo)
	return x, y
}

// axes draws the frame, the grid and what the axes mean.
func (c *chart) axes(b *strings.Builder, x, y scale, bottom float64) {
	for _, t := range y.ticks(6) {
		at := y.at(t.value)
		fmt.Fprintf(b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, at, plotRight, at, plotLeft-7, at+4, t.label)
	}
	for _, t := range x.ticks(8) {
		at := x.at(t.value)
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%.1f"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			at, plotTop, at, bottom, at, bottom+17, t.label)
	}
	fmt.Fprintf(b, `<path class="axis" d="M%d %d V%.1f H%d"/>`+"\n", plotLeft, plotTop, bottom, plotRight)
	fmt.Fprintf(b, `<text class="label" x="%d" y="%.1f" text-anchor="middle">%s</text>`+"\n", (plotLeft+plotRight)/2, bottom+38, html.EscapeString(c.xLabel))
	middle := (plotTop + bottom) / 2
	fmt.Fprintf(b, `<text class="label" x="14" y="%.1f" text-anchor="middle" transform="rotate(-90 14 %.1f)">%s</text>`+"\n", middle, middle, html.EscapeString(c.yLabel))
}

// class returns the style of the line.
func (l *line) class() string {
	class := fmt.Sprintf("s%d", l.color%palette)
	if l.color >= palette {
		class += " dashed"
	}
	if l.strong {
		class += " strong"
	}
	return class
}

// draw draws the band over the seeds, the line and its points with tooltips.
func (l *line) draw(b *strings.Builder, x, y scale, clip string, c *chart) {
	fmt.Fprintf(b, `<g class="%s"><title>%s</title><g clip-path="url(#%s)">`+"\n", l.class(), html.EscapeString(l.name), clip)
	var upper, lower, path []string
	banded := false
	for _, m := range l.points {
		px := x.at(m.x)
		upper = append(upper, fmt.Sprintf("%.1f,%.1f", px, y.at(m.hi)))
		lower = append(lower, fmt.Sprintf("%.1f,%.1f", px, y.at(m.lo)))
		path = append(path, fmt.Sprintf("%.1f,%.1f", px, y.at(m.y)))
		banded = banded || m.lo < m.hi
	}
	if banded {
		slices.Reverse(lower)
		fmt.Fprintf(b, `<polygon class="band" points="%s"/>`+"\n", strings.Join(append(upper, lower...), " "))
	}
	if len(path) > 1 {
		fmt.Fprintf(b, `<polyline class="line" points="%s"/>`+"\n", strings.Join(path, " "))
	}
	b.WriteString("</g>\n")
	for _, m := range l.points {
		if m.x >= c.from {
			l.dot(b, m, x.at(m.x), y, c)
		}
	}
	for _, m := range l.lost {
		px, py := x.at(m.x), float64(plotTop+8)
		fmt.Fprintf(b, `<path class="cross" d="M%.1f %.1f l8 8 m0 -8 l-8 8"><title>%s</title></path>`+"\n", px-4, py-4, html.EscapeString(l.name+", "+m.note))
	}
	b.WriteString("</g>\n")
}

// dot draws a point; one that is above the picture becomes a triangle at its top.
func (l *line) dot(b *strings.Builder, m mark, px float64, y scale, c *chart) {
	title := fmt.Sprintf("%s, %s %s: loss %.4f", l.name, c.xUnit, strconv.FormatFloat(m.x, 'g', 6, 64), m.y)
	if m.lo < m.hi {
		title += fmt.Sprintf(" (%.4f to %.4f)", m.lo, m.hi)
	}
	if m.note != "" {
		title += ", " + m.note
	}
	title = html.EscapeString(title)
	switch {
	case m.y > y.hi:
		fmt.Fprintf(b, `<path class="off" d="M%.1f %d l5 8 h-10 z"><title>%s</title></path>`+"\n", px, plotTop+1, title)
	case m.ring:
		fmt.Fprintf(b, `<circle class="ring" cx="%.1f" cy="%.1f" r="6"/><circle class="dot" cx="%.1f" cy="%.1f" r="3"><title>%s</title></circle>`+"\n",
			px, y.at(m.y), px, y.at(m.y), title)
	default:
		fmt.Fprintf(b, `<circle class="dot" cx="%.1f" cy="%.1f" r="2.6"><title>%s</title></circle>`+"\n", px, y.at(m.y), title)
	}
}

// labels names the lines to the right of the plot, each as near to its end as the others allow, with a thin line between.
func (c *chart) labels(b *strings.Builder, x, y scale, bottom float64) {
	type label struct {
		line        *line
		end         mark
		wanted, top float64
	}
	var labels []label
	for i := range c.lines {
		l := &c.lines[i]
		if n := len(l.points); n > 0 {
			labels = append(labels, label{line: l, end: l.points[n-1], wanted: min(max(y.at(l.points[n-1].y), plotTop+6), bottom-4)})
		} else {
			labels = append(labels, label{line: l, wanted: plotTop + 6})
		}
	}
	slices.SortStableFunc(labels, func(a, b label) int {
		switch {
		case a.wanted < b.wanted:
			return -1
		case a.wanted > b.wanted:
			return 1
		}
		return 0
	})
	// From the bottom up no two may touch, then from the top down none may leave the picture.
	floor := bottom - 4
	for i := len(labels) - 1; i >= 0; i-- {
		labels[i].top = min(labels[i].wanted, floor)
		floor = labels[i].top - labelHeight
	}
	ceiling := float64(plotTop + 6)
	for i := range labels {
		labels[i].top = max(labels[i].top, ceiling)
		ceiling = labels[i].top + labelHeight
	}
	for _, l := range labels {
		text := l.line.name
		if len(l.line.points) > 0 {
			if !c.logX {
				text += fmt.Sprintf(" %.3f", l.end.y)
			}
			if l.end.x >= c.from { // otherwise the line ends to the left of the plot
				fmt.Fprintf(b, `<path class="leader %s" d="M%.1f %.1f L%d %.1f H%d"/>`+"\n", l.line.class(), x.at(l.end.x), l.wanted, plotRight+14, l.top, plotRight+24)
			}
		} else {
			text += " (diverged)"
		}
		fmt.Fprintf(b, `<text class="name %s" x="%d" y="%.1f">%s</text>`+"\n", l.line.class(), plotRight+28, l.top+4, html.EscapeString(text))
	}
}
