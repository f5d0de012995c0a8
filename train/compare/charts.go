package compare

import (
	"fmt"
	"math"
	"slices"
)

// figure is a chart with its caption.
type figure struct {
	title, caption string
	chart          chart
}

// figures returns the page's charts.
func (r *Results) figures() []figure {
	var out []figure
	band := ""
	if len(r.Setup.Seeds) > 1 {
		band = " The band spans the lowest and highest of the seeds."
	}
	steps := func(*Row) (from, unit float64) { return 0, 1 }
	seconds := func(v *Row) (from, unit float64) {
		if v.StepSeconds == nil {
			return 0, 0
		}
		return v.StartSeconds, *v.StepSeconds
	}
	whole := chart{name: "held-out loss", xLabel: "training step", yLabel: "held-out loss (nats)", xUnit: "step"}
	whole.lines, whole.ceiling = r.curves(steps), r.ceiling()
	out = append(out, figure{"Held-out loss", "Mean over the seeds at each variant's chosen learning rate." + band, whole})

	end := whole
	end.name, end.from = "end of training", float64(r.Setup.Steps)/2
	end.ceiling = r.endCeiling(end.from)
	out = append(out, figure{"The second half, enlarged", "The same curves. Variants that are far behind leave the picture at the top.", end})

	timed := whole
	timed.name, timed.xLabel, timed.xUnit, timed.lines = "held-out loss over time", "training time (s)", "second", r.curves(seconds)
	if len(timed.lines) > 0 {
		out = append(out, figure{"Held-out loss over time", "Steps times the time of a step alone on the machine, without evaluations, after what an initialisation from the gradient takes.", timed})
	}
	if tuned(r.Variants) {
		out = append(out, figure{"Sensitivity to the learning rate", r.rateCaption(), r.rateChart()})
	}
	return out
}

// color returns the place of a variant in the palette. It goes by name, so that a variant keeps its colour when the order changes.
func (r *Results) color(name string) int {
	var names []string
	for _, v := range r.Variants {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return slices.Index(names, name)
}

// curves returns the loss of each variant over x, which is the step times the variant's unit, from some point on; variants without a
// unit are left out.
func (r *Results) curves(axis func(*Row) (from, unit float64)) []line {
	var lines []line
	for i := range r.Variants {
		v := &r.Variants[i]
		from, unit := axis(v)
		if unit == 0 || len(v.Curve) == 0 {
			continue
		}
		l := line{name: v.Name, color: r.color(v.Name), strong: v.Baseline}
		for _, p := range v.Curve {
			l.points = append(l.points, mark{x: from + unit*float64(p.Step), y: p.Mean, lo: p.Min, hi: p.Max})
		}
		lines = append(lines, l)
	}
	return lines
}

// ceiling is what is drawn of all curves: a little more than the loss at the start, so that a blow-up does not flatten the others.
func (r *Results) ceiling() float64 {
	top := r.Setup.StartLoss
	for _, v := range r.Variants {
		if v.Baseline {
			for _, p := range v.Curve {
				top = max(top, p.Max)
			}
		}
	}
	return 1.03 * top
}

// endCeiling is what is drawn of the end of training: all of the baseline and of the better three quarters of the variants.
func (r *Results) endCeiling(from float64) float64 {
	var tops []float64
	least := math.Inf(-1)
	for _, v := range r.Variants {
		top := math.Inf(-1)
		for _, p := range v.Curve {
			if float64(p.Step) >= from {
				top = max(top, p.Max)
			}
		}
		if math.IsInf(top, 0) {
			continue
		}
		tops = append(tops, top)
		if v.Baseline {
			least = top
		}
	}
	if len(tops) == 0 {
		return r.ceiling()
	}
	slices.Sort(tops)
	top := max(least, tops[(3*len(tops)-1)/4])
	return top + 0.002*math.Abs(top)
}

// rateChart shows what the tuning found.
func (r *Results) rateChart() chart {
	c := chart{
		name: "learning rates", xLabel: "learning rate", yLabel: r.judgedBy() + " (nats)", xUnit: "lr", logX: true, ceiling: r.ceiling(),
	}
	highest := math.Inf(-1)
	for _, v := range r.Variants {
		l := line{name: v.Name, color: r.color(v.Name), strong: v.Baseline}
		for _, rate := range v.Rates {
			if rate.Loss == nil || rate.Diverged > 0 {
				l.lost = append(l.lost, mark{x: rate.LR, note: fmt.Sprintf("lr %s: diverged at step %d", shortRate(rate.LR), rate.DivergedAt)})
				continue
			}
			m := mark{x: rate.LR, y: rate.Loss.Mean, lo: rate.Loss.Min, hi: rate.Loss.Max}
			if rate.LR == v.LR {
				m.ring, m.note = true, "chosen"
			}
			highest = max(highest, m.hi)
			l.points = append(l.points, m)
		}
		c.lines = append(c.lines, l)
	}
	if !math.IsInf(highest, 0) {
		c.ceiling = min(c.ceiling, highest+0.02*math.Abs(highest))
	}
	return c
}

func (r *Results) judgedBy() string {
	if r.Setup.TuneBy == ByFinal {
		return "final held-out loss"
	}
	return "lowest held-out loss"
}

func (r *Results) rateCaption() string {
	return fmt.Sprintf("The %s with %s for every learning rate that was tried. A ring marks the chosen rate, a cross one that diverged, a triangle at the top a loss above the picture.",
		r.judgedBy(), seedsText(r.Setup.TuningSeeds))
}
