package run

import (
	"fmt"
	"strings"

	"github.com/geotune/geotune/adapters"
	"github.com/geotune/geotune/train"
)

// String shows what was found as a table, with warnings below.
func (s *begun) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", s.summary())
	width := len("module")
	for _, l := range s.Layers {
		width = max(width, len(l.Module))
	}
	const line = "%-*s  %8s  %8s  %5s  %9s  %9s\n"
	fmt.Fprintf(&b, line, width, "module", "captured", "residual", "gap", "‖G‖", "largest σ")
	for _, l := range s.Layers {
		fmt.Fprintf(&b, line, width, l.Module, percent(l.Captured), fmt.Sprintf("%.3f", l.Residual), gap(l), number(l.Norm), number(l.Largest))
	}
	for _, w := range s.warnings() {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// markdown is the section of the run's report.
func (s *begun) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## Start\n\n%s\n\n", s.summary())
	for _, w := range s.warnings() {
		fmt.Fprintf(&b, "* %s\n\n", w)
	}
	b.WriteString("| module | rank | captured | residual | gap | ‖G‖ | largest σ |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, l := range s.Layers {
		fmt.Fprintf(&b, "| %s | %d | %s | %.3f | %s | %s | %s |\n", l.Module, l.Rank, percent(l.Captured), l.Residual, gap(l), number(l.Norm), number(l.Largest))
	}
	return b.String()
}

// planStart tells what an initialisation other than the usual ones will do, and how the adapter will be saved.
func (r *Run) planStart() string {
	init := r.adapter.Config().Init
	var parts []string
	if r.adapter.NeedsGradient() {
		parts = append(parts, fmt.Sprintf("the gradient of the base model in %d passes over %s", init.Passes(), train.Counted(r.startBatches(), "micro-batch", "micro-batches")))
	}
	switch {
	case init.Base == adapters.BaseCarried:
		parts = append(parts, "the weights stay as they are, and the adapter is saved with twice the rank")
	case r.adapter.BelongsToModifiedBase():
		parts = append(parts, fmt.Sprintf("the adapter is saved for a modified base model, written to %s", r.out(baseDir)))
	case init.Base == adapters.BaseModified:
		parts = append(parts, "the start is taken out of the weights, as PEFT does on loading the adapter")
	}
	if parts == nil {
		return ""
	}
	return init.Name + ": " + strings.Join(parts, "; ")
}

// summary says in one line what was done and how much of the gradient the adapter can follow at the start.
func (s *begun) summary() string {
	var captured, all float64
	for _, l := range s.Layers {
		captured += l.Captured * l.Norm * l.Norm
		all += l.Norm * l.Norm
	}
	return fmt.Sprintf("init %s: %d passes over %s with %d targets in %.1f s; %s of the gradient's energy lies in the tangent spaces of the start",
		s.Init, s.Passes, train.Counted(s.Batches, "micro-batch", "micro-batches"), s.Targets, s.Seconds, percent(captured/all))
}

// nearOne is the gap below which the directions chosen are called arbitrary.
const nearOne = 1.005

// warnings name layers where the choice of directions rests on little.
func (s *begun) warnings() []string {
	var arbitrary, poor []adapters.LayerStart
	for _, l := range s.Layers {
		if l.Found < l.Used {
			poor = append(poor, l)
		} else if l.Gap > 0 && l.Gap < nearOne {
			arbitrary = append(arbitrary, l)
		}
	}
	var out []string
	if len(poor) > 0 {
		l := poor[0]
		out = append(out, fmt.Sprintf("in %s the gradient has a lower rank than init %s uses (%s: %d of %d), so that some directions are random; set adapter.init.batches higher",
			train.Counted(len(poor), "layer", "layers"), s.Init, l.Module, l.Found, l.Used))
	}
	if len(arbitrary) > 0 {
		l := arbitrary[0]
		for _, m := range arbitrary {
			if m.Gap < l.Gap {
				l = m
			}
		}
		out = append(out, fmt.Sprintf("in %s the last singular value used is hardly larger than the next (%s: ratio %.4f): which of the two directions is chosen is arbitrary there",
			train.Counted(len(arbitrary), "layer", "layers"), l.Module, l.Gap))
	}
	return out
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// gap shows the ratio at the cut, a dash where nothing more was found.
func gap(l adapters.LayerStart) string {
	if l.Gap == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", l.Gap)
}

// number shows three digits.
func number(v float64) string { return fmt.Sprintf("%.3g", v) }
